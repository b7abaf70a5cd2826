// Recordings through the stock SDKs, straight from the replay server and through the gateway:
// node traffic.mjs REPLAY GATEWAY KEY RECORDINGS SEED CUTS RECONNECTS prints TAP, and "usage {…}" lines for the ledger.
// CUTS: names of pairs of providers, separated by commas; RECONNECTS: how many streams are left and come back to.
console.warn = () => {};             // of models whose end is near
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';

const [replay, base, key, file, seed, cuts, reconnects] = process.argv.slice(2);
let n = 0, failed = 0, state = Number(seed) >>> 0;
const random = most => {            // xorshift: the same for the same seed, everywhere
    state ^= state << 13; state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5; state >>>= 0;
    return state % most;
};
state = state || 1;
for (let i = 0; i < 9; i++) random(1);
const ok = (good, name, detail) => {
    n++;
    if (!good) failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
    if (!good) console.log(`# ${String(detail).slice(0, 900)}`);
};

const options = { maxRetries: 0, timeout: 120000, logLevel: 'error', defaultHeaders: { 'accept-encoding': 'identity' } };
const clients = {
    direct: { oa: new OpenAI({ baseURL: `${replay}/v1`, apiKey: 'k', ...options }),
        an: new Anthropic({ baseURL: replay, apiKey: 'k', ...options }) },
    gateway: { oa: new OpenAI({ baseURL: `${base}/v1`, apiKey: key, ...options }),
        an: new Anthropic({ baseURL: base, apiKey: key, ...options }) },
};

// What an SDK makes of one request: its objects, or its error, and the job.
const call = async (side, r, request) => {
    const got = { objects: [] };
    try {
        const anthropic = r.api === 'anthropic.messages';
        const api = anthropic ? clients[side].an.messages : clients[side].oa.chat.completions;
        const { data, response } = await api.create(request, { timeout: 120000 }).withResponse();
        got.job = response.headers.get('x-ai-job');
        got.type = response.headers.get('content-type');
        got.id = response.headers.get(anthropic ? 'request-id' : 'x-request-id');
        if (request.stream) for await (const event of data) got.objects.push(event);
        else got.objects.push(data);
        if (!request.stream && data && typeof data === 'object') got.requestId = data._request_id;
    } catch (e) {
        got.error = { class: e.constructor.name, status: e.status, message: e.message, body: e.error, id: e.requestID };
        got.job ??= e.headers?.get?.('x-ai-job');
    }
    return got;
};

// The message that Anthropic's helper assembles.
const assembled = async (side, request) => {
    try {
        return await clients[side].an.messages.stream(request, { timeout: 120000 }).finalMessage();
    } catch (e) {
        return { class: e.constructor.name, message: e.message };
    }
};

// What the recording says was used, read apart from the code that is tested.
const stated = r => {
    const events = r.stream ? r.response.split(/\r?\n/).filter(l => /^data: ?\{/.test(l)).map(l => {
        try { return JSON.parse(l.replace(/^data: ?/, '')); } catch { return {}; }
    }) : [];
    if (!r.stream) try { events.push(JSON.parse(r.response)); } catch { return null; }
    let u = null;
    for (const e of events) {
        if (r.api === 'anthropic.messages') {
            const more = e.message?.usage ?? e.usage;
            if (more) u = { ...u, ...Object.fromEntries(Object.entries(more).filter(([, v]) => v !== null)) };
        } else {
            u = e.usage ?? e.x_groq?.usage ?? u;
        }
    }
    if (!u) return null;
    return r.api === 'anthropic.messages'
        ? { input: (u.input_tokens ?? 0) + (u.cache_read_input_tokens ?? 0) + (u.cache_creation_input_tokens ?? 0),
            output: u.output_tokens, cached: u.cache_read_input_tokens }
        : { input: u.prompt_tokens, output: u.completion_tokens,
            cached: u.prompt_tokens_details?.cached_tokens
                ?? u.prompt_cache_hit_tokens ?? u.num_cached_tokens ?? u.cached_tokens };
};

const canon = v => Array.isArray(v) ? v.map(canon) : v && typeof v === 'object'
    ? Object.fromEntries(Object.keys(v).sort().map(k => [k, canon(v[k])])) : v;
const last = new Map();
for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (!line) continue;
    const r = JSON.parse(line);
    if (!/^(openai\.chat|compatible\.chat|anthropic\.messages)$/.test(r.api) || r.method !== 'POST') continue;
    if (!r.request || typeof r.request.model !== 'string') continue;
    if (r.api === 'anthropic.messages' ? !/\/v1\/messages(\?|$)/.test(r.path) : !/\/chat\/completions(\?|$)/.test(r.path)) continue;
    const { stream_options, ...rest } = r.request;
    last.set((r.api === 'anthropic.messages') + JSON.stringify(canon(rest)), r);    // the one that is replayed
}
// A recording whose answer has what its request, or our own asking for usage, does not explain is none to compare.
const all = [...last.values()].filter(r => {
    if (!!r.request.stream !== !!r.stream && r.status < 400) return false;
    return r.api === 'anthropic.messages' || r.request.stream_options?.include_usage
        || !(/"choices": ?\[\], ?"usage": ?\{/.test(r.response) || /"usage": ?\{[^}]*\}.*"choices": ?\[\]/.test(r.response));
});

const provider = (r, cut) => (r.api === 'anthropic.messages' ? 'anthropic' : 'openai') + cut;
const one = async (r, cut) => {
    const name = `${r.api} ${r.id}${r.stream ? ' stream' : ''}${r.status === 200 ? '' : ' ' + r.status}, ${cut}`;
    const direct = await call('direct', r, r.request);
    const got = await call('gateway', r, { ...r.request, model: `${provider(r, cut)}/${r.request.model}` });
    const strip = ({ job, ...rest }) => rest;
    ok(isDeepStrictEqual(strip(got), strip(direct)), name,
        `got ${JSON.stringify(strip(got)).slice(0, 420)} wanted ${JSON.stringify(strip(direct)).slice(0, 420)}`);
    if (r.stream && r.api === 'anthropic.messages' && r.status === 200) {
        const [a, b] = [await assembled('gateway', { ...r.request, model: `${provider(r, cut)}/${r.request.model}` }),
            await assembled('direct', r.request)];
        ok(isDeepStrictEqual(a, b), `${name}: assembled`, `got ${JSON.stringify(a).slice(0, 420)} wanted ${JSON.stringify(b).slice(0, 420)}`);
    }
    console.log('usage ' + JSON.stringify({ name, job: got.job, status: r.status, stream: r.stream ? 1 : 0, ...stated(r) }));
};

// A client that leaves a resumable stream at a seeded byte, comes back, and perhaps again.
const resumed = async r => {
    const path = r.api === 'anthropic.messages' ? '/v1/messages' : '/v1/chat/completions';
    const post = (to, request, headers) => fetch(to + path, { method: 'POST', body: JSON.stringify(request),
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...headers } });
    const want = await (await post(replay, r.request, {})).text();
    const first = await post(base, { ...r.request, model: `${provider(r, 'whole')}/${r.request.model}` }, { 'x-ai-resumable': '1' });
    const job = first.headers.get('x-ai-job');
    const at = [];
    let whole = '', res = first, id = '';
    for (let tries = 0; ; tries++) {
        const most = tries < 3 ? random(want.length + 1) : Infinity;
        let text = '';
        const decoder = new TextDecoder();
        const reader = res.body.getReader();
        at.push(most);
        for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            text += decoder.decode(value, { stream: true });
            if (text.length > most) { text = text.slice(0, most); break; }
        }
        await reader.cancel().catch(() => {});
        // Whole events count, the rest comes again; the last one may lack its blank line.
        const events = text.split(/(?<=\n\n|\r\n\r\n)/);
        if (most !== Infinity && events.length && !/\r?\n\r?\n$/.test(events.at(-1))) events.pop();
        for (const event of events) {
            const m = event.match(/^id: (\S+)\n/m);
            if (m) id = m[1];
            whole += event.replace(/^id: \S+\n/m, '').replace(/^:\n\n/, '');
        }
        if (most === Infinity) break;
        res = await fetch(`${base}/v1/jobs/${job}/events`, { headers: { authorization: `Bearer ${key}`,
            ...(id ? { 'last-event-id': id } : {}) } });
    }
    ok(whole === want, `${r.api} ${r.id}: left at ${at.slice(0, -1)}, and the rest`,
        `got ${whole.length} instead of ${want.length}: ${JSON.stringify(whole.slice(-200))} wanted ${JSON.stringify(want.slice(-200))}`);
};

const todo = cuts.split(',').flatMap(cut => all.filter(r => r.stream || cut === cuts.split(',')[0]).map(r => () => one(r, cut)));
const streams = all.filter(r => r.stream && r.status === 200 && !/^:/m.test(r.response));
for (let i = 0; i < Number(reconnects) && streams.length; i++) {
    const r = Number(reconnects) < streams.length ? streams[random(streams.length)] : streams[i % streams.length];
    todo.push(() => resumed(r));
}
await Promise.all(Array.from({ length: 4 }, async () => {
    for (let job; (job = todo.shift());) await job().catch(e => ok(false, 'no exception', e.stack));
}));
console.log(`1..${n}`);
process.exit(failed ? 1 : 0);
