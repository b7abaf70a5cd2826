// Recordings to translate: a provider that answers with the one that the model names ("r-<id>"), and what each says, read
// without any SDK and without the gateway.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { frames } from './frames.mjs';
import { cohere, ollama } from './made.mjs';

const apis = { 'openai.chat': 'openai', 'compatible.chat': 'openai', 'anthropic.messages': 'anthropic',
    'openai.responses': 'responses', 'gemini.generate': 'gemini', 'gemini.stream': 'gemini', 'bedrock.converse': 'bedrock' };

const events = text => text.replace(/\r\n?/g, '\n').split('\n\n').map(block => block.split('\n')
    .filter(line => line.startsWith('data:')).map(line => line.slice(5).trim()).join('\n'))
    .filter(data => data && data !== '[DONE]').map(data => JSON.parse(data));
const finishes = { end_turn: 'stop', stop_sequence: 'stop', pause_turn: 'stop', eos: 'stop', tool_use: 'tools', tool_calls: 'tools',
    function_call: 'tools', max_tokens: 'length', content_filter: 'filter', refusal: 'filter', model_context_window_exceeded: 'length' };
const parse = text => { try { return JSON.parse(text || '{}'); } catch { return text; } };
export const openaiSays = list => {
    const said = { text: '', calls: [], finish: '', error: false };
    const at = [];
    for (const o of list) {
        if (o.error) said.error = true;
        const c = (o.choices ?? []).find(one => (one.index ?? 0) === 0);
        const m = c?.message ?? c?.delta;
        if (c?.finish_reason) said.finish = finishes[c.finish_reason] ?? c.finish_reason;
        if (m) {
            said.text += typeof m.content === 'string' ? m.content
                : (m.content ?? []).map(p => p.text ?? '').join('');
            if (m.refusal) { said.text += m.refusal; said.refused = true; }
            for (const call of [...m.function_call ? [{ function: m.function_call }] : [], ...m.tool_calls ?? []]) {
                if (!call.function) continue;
                let i = c.message ? -1 : at.findIndex(a => a.index === call.index && (!call.id || call.id === a.id));
                if (i < 0) {
                    i = at.push({ index: call.index, id: call.id }) - 1;
                    said.calls.push({ name: call.function.name, args: '' });
                }
                said.calls[i].args += call.function.arguments ?? '';
            }
        }
        const u = o.usage ?? o.x_groq?.usage;
        if (u) Object.assign(said, { input: u.prompt_tokens, output: u.completion_tokens });
    }
    said.finish ||= 'stop';
    if (said.calls.length && said.finish === 'stop') said.finish = 'tools';
    if (said.refused) said.finish = 'filter';
    return said;
};
const anthropicInput = u => u.input_tokens + (u.cache_read_input_tokens ?? 0) + (u.cache_creation_input_tokens ?? 0);
export const anthropicSays = m => ({
    text: m.content.filter(b => b.type === 'text').map(b => b.text).join(''),
    calls: m.content.filter(b => b.type === 'tool_use').map(b => ({ name: b.name, args: JSON.stringify(b.input) })),
    finish: finishes[m.stop_reason] ?? m.stop_reason, error: false, input: anthropicInput(m.usage), output: m.usage.output_tokens });
const anthropicStream = list => {
    const m = { content: [], usage: {} };
    for (const e of list) {
        if (e.type === 'message_start') Object.assign(m, e.message, { content: [] });
        else if (e.type === 'content_block_start') m.content[e.index] = { ...e.content_block, json: '' };
        else if (e.type === 'content_block_delta') {
            const b = m.content[e.index];
            if (e.delta.type === 'text_delta') b.text += e.delta.text;
            if (e.delta.type === 'input_json_delta') b.json += e.delta.partial_json;
        } else if (e.type === 'content_block_stop') {
            const b = m.content[e.index];
            if (b.json) b.input = JSON.parse(b.json);
        } else if (e.type === 'message_delta') {
            Object.assign(m, e.delta);
            for (const [k, v] of Object.entries(e.usage)) if (v !== null) m.usage[k] = v;
        }
    }
    return anthropicSays(m);
};
const geminiSays = list => {
    const said = { text: '', calls: [], finish: 'stop', error: false, output: 0 };
    for (const o of list) {
        const c = o.candidates?.[0], u = o.usageMetadata;
        for (const p of c?.content?.parts ?? []) {
            if (p.functionCall) said.calls.push({ name: p.functionCall.name, args: JSON.stringify(p.functionCall.args) });
            else if (!p.thought) said.text += p.text ?? '';
        }
        if (c?.finishReason === 'MAX_TOKENS') said.finish = 'length';
        else if (o.promptFeedback?.blockReason || ['SAFETY', 'RECITATION', 'PROHIBITED_CONTENT'].includes(c?.finishReason)) said.finish = 'filter';
        if (!u) continue;
        said.input = u.promptTokenCount + (u.toolUsePromptTokenCount ?? 0);
        if (u.candidatesTokenCount !== undefined || u.thoughtsTokenCount !== undefined)
            said.output = (u.candidatesTokenCount ?? 0) + (u.thoughtsTokenCount ?? 0);
    }
    if (said.calls.length && said.finish === 'stop') said.finish = 'tools';
    return said;
};
export const responsesSays = o => {
    const said = { text: '', calls: [], finish: o.incomplete_details?.reason === 'max_output_tokens' ? 'length'
        : o.incomplete_details ? 'filter' : 'stop', error: o.status === 'failed', input: o.usage?.input_tokens, output: o.usage?.output_tokens };
    for (const item of o.output) {
        if (item.type === 'function_call') said.calls.push({ name: item.name, args: item.arguments });
        if (item.type === 'message') for (const p of item.content) {
            said.text += p.text ?? p.refusal;
            if (p.refusal) said.finish = 'filter';
        }
    }
    if (said.calls.length && said.finish === 'stop') said.finish = 'tools';
    return said;
};
export const last = list => list.find(e => ['response.completed', 'response.incomplete', 'response.failed'].includes(e.type))?.response;
const bedrockSays = o => {
    const content = o.output.message.content, u = o.usage;
    return { text: content.map(b => b.text ?? '').join(''), error: false,
        calls: content.filter(b => b.toolUse).map(b => ({ name: b.toolUse.name, args: JSON.stringify(b.toolUse.input) })),
        finish: { guardrail_intervened: 'filter', content_filtered: 'filter' }[o.stopReason] ?? finishes[o.stopReason] ?? 'stop',
        input: u.inputTokens + (u.cacheReadInputTokens ?? 0) + (u.cacheWriteInputTokens ?? 0), output: u.outputTokens };
};
const read = r => {
    const list = r.stream ? events(r.response) : [JSON.parse(r.response)];
    switch (apis[r.api]) {
    case 'openai': return openaiSays(list);
    case 'anthropic': return r.stream ? anthropicStream(list) : anthropicSays(list[0]);
    case 'responses': return responsesSays(r.stream ? last(list) : list[0]);
    case 'gemini': return geminiSays(list);
    default: return bedrockSays(list[0]);
    }
};
const wrong = r => {
    const o = JSON.parse(r.response), e = o.error ?? o;
    return { error: true, status: r.status, words: typeof e === 'string' ? e : e.message ?? '' };
};

// Each as its provider has it.  No stream of Bedrock's is recorded and nothing of Ollama's and Cohere's: those are made of others.
const load = file => readFileSync(file, 'utf8').trim().split('\n').map(line => JSON.parse(line))
    .filter(r => apis[r.api] && r.method === 'POST' && r.response).flatMap(r => {
        const provider = apis[r.api];
        let want;
        try {
            want = r.status === 200 ? read(r) : wrong(r);
        } catch (e) {
            console.log(`# ${r.id} ${r.api} is not understood: ${e.message}`);
            return [];
        }
        const one = { id: r.id, api: r.api, provider, status: r.status, stream: r.stream, want,
            type: r.stream ? 'text/event-stream' : 'application/json', body: r.response };
        if (r.status !== 200) return [{ ...one, stream: false, type: 'application/json' }];
        const all = [one];
        if (provider === 'bedrock') all.push({ ...one, id: `${r.id}f`, stream: true, body: frames(JSON.parse(r.response)),
            type: 'application/vnd.amazon.eventstream' });
        if (provider === 'gemini') all.push({ ...one, id: `${r.id}v`, provider: 'vertex', sample: true });
        if (r.api === 'openai.chat') all.push({ ...one, id: `${r.id}a`, provider: 'azure', sample: true });
        if (provider === 'openai' && !r.stream) for (const [name, make] of Object.entries({ ollama, cohere }))
            for (const stream of [false, true]) {
                const made = make(want, stream);
                if (made) all.push({ ...one, ...made, id: `${r.id}${name[0]}${stream ? 's' : 'o'}`, api: `${name}, made of chat`,
                    provider: name, stream, sample: true });
            }
        return all;
    });

// The provider, in pieces that end anywhere.
const serve = (records, port) => {
    const byId = new Map(records.map(r => [r.id, r]));
    const server = createServer((req, res) => {
        let body = '';
        req.on('data', d => body += d);
        req.on('end', () => {
            // Google's and Amazon's model is in the path.
            const model = /\/models?\/([^/:]+)[:/]/.exec(req.url)?.[1] ?? JSON.parse(body).model;
            const r = byId.get(model.slice(2));
            res.writeHead(r.status, { 'content-type': r.type });
            if (!r.stream) return res.end(r.body);
            const bytes = Buffer.from(r.body);
            for (let at = 0; at < bytes.length; at += 701) res.write(bytes.subarray(at, at + 701));
            res.end();
        });
    });
    return new Promise(done => server.listen(Number(port), '127.0.0.1', () => done(server)));
};

// xorshift: the same for the same seed, everywhere.
const random = seed => {
    let state = Number(seed) >>> 0 || 1;
    const next = most => {
        state ^= state << 13; state >>>= 0;
        state ^= state >>> 17;
        state ^= state << 5; state >>>= 0;
        return state % most;
    };
    for (let i = 0; i < 9; i++) next(1);
    return next;
};

const same = (a, b) => a.status ? b.error && b.status === a.status && String(b.words).includes(a.words)
    : a.error ? b.error : !b.error && a.text === b.text && a.finish === b.finish
    && (a.input === undefined || a.input === b.input) && (a.output === undefined || a.output === b.output)
    && a.calls.length === b.calls.length && a.calls.every((c, i) => c.name === b.calls[i].name
        && (isDeepStrictEqual(parse(c.args), parse(b.calls[i].args))
            || parse(b.calls[i].args).arguments === c.args));

// Tries each recording with each client that does not speak its dialect (speaks: name => api) and prints TAP, the last
// lines the table.  through(r, client) gives what the client made of it, or throws; except(r, client) is why it need not.
// MOST: how many of each pair, 0 for all; what is marked to be sampled has never more than 60 but then.
export const run = async ({ file, port, seed, most, clients, through, except = () => '' }) => {
    const records = load(file), server = await serve(records, port), next = random(seed), table = new Map(), names = new Map();
    let n = 0, failed = 0;
    const ok = (good, name) => {
        n++;
        if (!good) failed++;
        console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
    };
    for (const r of records) for (const client of Object.keys(clients)) {
        if (clients[client].speaks.includes(r.provider)) continue;
        const kind = r.status === 200 ? r.stream ? 'streams' : 'objects' : 'errors';
        const pair = `${r.api}${['vertex', 'azure'].includes(r.provider) ? ` (${r.provider})` : ''} -> ${clients[client].name}, ${kind}`;
        if (!names.has(pair)) names.set(pair, []);
        names.get(pair).push([r, client]);
    }
    const queue = [];
    for (const [pair, all] of names) {
        const bound = most ? Math.min(most, all[0][0].sample ? 60 : most) : all.length;
        for (let i = 0; i < all.length - 1; i++) {
            const k = i + next(all.length - i);
            [all[i], all[k]] = [all[k], all[i]];
        }
        table.set(pair, { all: all.length, tried: 0, passed: 0, not: {} });
        queue.push(...all.slice(0, bound).map(one => [pair, ...one]));
    }
    const one = async ([pair, r, client]) => {
        const row = table.get(pair), why = except(r, client);
        if (why) return void (row.not[why] = (row.not[why] ?? 0) + 1);
        let got;
        try {
            got = await through(r, client, `${r.provider}/r-${r.id}`);
        } catch (e) {
            got = { error: true, status: e.status ?? e.statusCode, words: e.error?.error?.message ?? e.message,
                why: `${e.constructor.name}: ${e.message}` };
        }
        row.tried++;
        if (same(r.want, got)) row.passed++;
        else {
            ok(false, `${r.id} ${pair}`);
            console.log(`# ${JSON.stringify(r.want).slice(0, 900)}\n# but ${JSON.stringify(got).slice(0, 900)}`);
        }
    };
    await Promise.all(Array.from({ length: 8 }, async () => { while (queue.length) await one(queue.shift()); }));
    for (const [pair, { all, tried, passed, not }] of table) {
        const left = Object.entries(not).map(([why, count]) => `, ${count} not: ${why}`).join('');
        ok(tried === passed, `${pair}: ${tried} of ${all} tried, ${passed} passed${left}`);
    }
    server.close();
    console.log(`1..${n}`);
    process.exit(failed ? 1 : 0);
};
