// Recordings of one dialect through the stock SDK of another: node translate.mjs GATEWAY KEY RECORDINGS PORT SEED MOST prints
// TAP.  It is the provider, too, on PORT.
console.warn = () => {};             // of models whose end is near
import { isDeepStrictEqual } from 'node:util';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { anthropicSays, last, openaiSays, responsesSays, run } from './recorded.mjs';

const [base, key, file, port, seed, most] = process.argv.slice(2);

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
const through = async (r, client, model) => {
    if (client === 'responses') return responses(r, model);
    if (client === 'anthropic') {
        const ask = { model, max_tokens: 99, messages: user };
        return anthropicSays(r.stream ? await an.messages.stream(ask).finalMessage() : await an.messages.create(ask));
    }
    const ask = { model, messages: user };
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
await run({ file, port, seed, most: Number(most), through, clients: {
    openai: { name: 'openai', speaks: ['openai', 'azure'] },
    anthropic: { name: '@anthropic-ai/sdk', speaks: ['anthropic'] },
    responses: { name: 'openai (responses)', speaks: ['responses'] } } });
