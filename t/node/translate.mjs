// Recordings of one dialect through the stock SDK of another: node translate.mjs GATEWAY KEY RECORDINGS PORT prints TAP.
// It is the provider, too: on PORT it answers with the recording that the model names ("r-<id>").
console.warn = () => {};             // of models whose end is near
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { frames } from './frames.mjs';

const [base, key, file, port] = process.argv.slice(2);
const dialects = { 'openai.chat': 'openai', 'compatible.chat': 'openai', 'anthropic.messages': 'anthropic',
    'openai.responses': 'responses', 'gemini.generate': 'gemini', 'gemini.stream': 'gemini',
    'bedrock.converse': 'bedrock' };
const records = readFileSync(file, 'utf8').trim().split('\n').map(line => JSON.parse(line))
    .filter(r => dialects[r.api] && r.status === 200 && r.response)
    // No stream of Bedrock's is recorded: one is made of each object.
    .flatMap(r => dialects[r.api] === 'bedrock' ? [r, { ...r, id: `${r.id}f`, stream: true }] : [r]);
const byId = new Map(records.map(r => [r.id, r]));
let n = 0, failed = 0;
const ok = (good, name, detail) => {
    n++;
    if (!good) failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
    if (!good) console.log(`# ${String(detail).slice(0, 900)}`);
};

const server = createServer((req, res) => {
    let body = '';
    req.on('data', d => body += d);
    req.on('end', () => {
        // Google's and Amazon's model is in the path.
        const model = /\/models?\/([^/:]+)[:/]/.exec(req.url)?.[1] ?? JSON.parse(body).model;
        const r = byId.get(model.slice(2));
        const framed = r.stream && dialects[r.api] === 'bedrock';
        res.writeHead(200, { 'content-type': framed ? 'application/vnd.amazon.eventstream'
            : r.stream ? 'text/event-stream' : 'application/json' });
        if (!r.stream) return res.end(r.response);
        const bytes = framed ? frames(JSON.parse(r.response)) : Buffer.from(r.response);    // in pieces that end anywhere
        for (let at = 0; at < bytes.length; at += 701) res.write(bytes.subarray(at, at + 701));
        res.end();
    });
});
await new Promise(done => server.listen(Number(port), '127.0.0.1', done));

// What a recording says, read without any SDK and without the gateway.
const events = text => text.replace(/\r\n?/g, '\n').split('\n\n').map(block => block.split('\n')
    .filter(line => line.startsWith('data:')).map(line => line.slice(5).trim()).join('\n'))
    .filter(data => data && data !== '[DONE]').map(data => JSON.parse(data));
const finishes = { end_turn: 'stop', stop_sequence: 'stop', pause_turn: 'stop', eos: 'stop', tool_use: 'tools', tool_calls: 'tools',
    function_call: 'tools', max_tokens: 'length', content_filter: 'filter', refusal: 'filter', model_context_window_exceeded: 'length' };
const parse = text => { try { return JSON.parse(text || '{}'); } catch { return text; } };
const openaiSays = list => {
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
const anthropicSays = m => ({
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
const responsesSays = o => {
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
const last = list => list.find(e => ['response.completed', 'response.incomplete', 'response.failed'].includes(e.type))?.response;
const bedrockSays = o => {
    const content = o.output.message.content, u = o.usage;
    return { text: content.map(b => b.text ?? '').join(''), error: false,
        calls: content.filter(b => b.toolUse).map(b => ({ name: b.toolUse.name, args: JSON.stringify(b.toolUse.input) })),
        finish: { guardrail_intervened: 'filter', content_filtered: 'filter' }[o.stopReason] ?? finishes[o.stopReason] ?? 'stop',
        input: u.inputTokens + (u.cacheReadInputTokens ?? 0) + (u.cacheWriteInputTokens ?? 0), output: u.outputTokens };
};
const recorded = r => dialects[r.api] === 'bedrock' ? bedrockSays(JSON.parse(r.response))
    : dialects[r.api] === 'responses' ? responsesSays(r.stream ? last(events(r.response)) : JSON.parse(r.response))
    : dialects[r.api] === 'gemini' ? geminiSays(r.stream ? events(r.response) : [JSON.parse(r.response)])
    : dialects[r.api] === 'openai' ? openaiSays(r.stream ? events(r.response) : [JSON.parse(r.response)])
    : r.stream ? anthropicStream(events(r.response)) : anthropicSays(JSON.parse(r.response));

// What the other dialect's SDK makes of it.
const options = { maxRetries: 0, timeout: 60000, logLevel: 'error' };
const oa = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, ...options });
const an = new Anthropic({ baseURL: base, apiKey: key, ...options });
const user = [{ role: 'user', content: 'x' }];
const responses = async (r, model) => {
    const ask = { model, input: user };
    if (!r.stream) return responsesSays(await oa.responses.create(ask));
    const list = [];
    for await (const event of await oa.responses.create({ ...ask, stream: true })) list.push(event);
    const said = responsesSays(last(list)), again = responsesSays(await oa.responses.stream(ask).finalResponse());
    const text = list.filter(e => e.type === 'response.output_text.delta' || e.type === 'response.refusal.delta').map(e => e.delta).join('');
    return !list.every((e, i) => e.sequence_number === i) ? { ...said, text: 'its numbers have gaps' }
        : text !== said.text || !isDeepStrictEqual(said, again) ? { ...said, text: `the helper says another: ${JSON.stringify(again)}` } : said;
};
const through = async (r, client) => {
    if (client === 'responses') return responses(r, `${dialects[r.api]}/r-${r.id}`);
    if (client === 'anthropic') {
        const ask = { model: `${dialects[r.api]}/r-${r.id}`, max_tokens: 99, messages: user };
        return anthropicSays(r.stream ? await an.messages.stream(ask).finalMessage() : await an.messages.create(ask));
    }
    const ask = { model: `${dialects[r.api]}/r-${r.id}`, messages: user };
    if (!r.stream) return openaiSays([await oa.chat.completions.create(ask)]);
    const chunks = [];
    for await (const chunk of await oa.chat.completions.create({ ...ask, stream: true,
        stream_options: { include_usage: true } })) chunks.push(chunk);
    const helped = await oa.chat.completions.stream(ask).finalChatCompletion();
    const said = openaiSays(chunks), again = openaiSays([helped]);
    return said.text === again.text && said.finish === again.finish
        && isDeepStrictEqual(said.calls.map(c => c.name), again.calls.map(c => c.name)) ? said
        : { ...said, text: `the helper says another: ${JSON.stringify(again)}` };
};
const same = (a, b) => a.error ? b.error : !b.error && a.text === b.text && a.finish === b.finish
    && (a.input === undefined || a.input === b.input) && (a.output === undefined || a.output === b.output)
    && a.calls.length === b.calls.length && a.calls.every((c, i) => c.name === b.calls[i].name
        && (isDeepStrictEqual(parse(c.args), parse(b.calls[i].args))
            || parse(b.calls[i].args).arguments === c.args));

const table = {};
const sdks = { openai: 'openai', anthropic: '@anthropic-ai/sdk', responses: 'openai (responses)' };
const one = async ([r, client]) => {
    let got, want;
    try {
        want = recorded(r);
        got = await through(r, client);
    } catch (e) {
        got = { error: true, why: `${e.constructor.name}: ${e.message}` };
    }
    const pair = `${r.api} -> ${sdks[client]}, ${r.stream ? 'streams' : 'objects'}`;
    table[pair] ??= { tried: 0, passed: 0 };
    table[pair].tried++;
    const good = want && same(want, got);
    if (good) table[pair].passed++;
    else ok(false, `${r.id} ${pair}`, `${JSON.stringify(want)}\nbut ${JSON.stringify(got)}`.replaceAll('\n', '\\n'));
};
const queue = records.flatMap(r => Object.keys(sdks).filter(client => client !== dialects[r.api]).map(client => [r, client]));
await Promise.all(Array.from({ length: 8 }, async () => { while (queue.length) await one(queue.shift()); }));
for (const [pair, { tried, passed }] of Object.entries(table)) {
    ok(tried === passed, `${pair}: ${tried} tried, ${passed} passed`, '');
}
server.close();
console.log(`1..${n}`);
process.exit(failed ? 1 : 0);
