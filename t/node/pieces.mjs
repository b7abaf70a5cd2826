// Streams through the stock SDKs, straight from the provider and through the gateway, must be the same objects:
// node pieces.mjs PROVIDER GATEWAY KEY FILE prints TAP; a line of FILE is {"name", "anthropic", "request"}.
console.warn = () => {};             // of models whose end is near
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';

const [provider, gateway, key, file] = process.argv.slice(2);
const options = { maxRetries: 0, timeout: 120000, logLevel: 'off' };
const side = (base, apiKey) => ({ openai: new OpenAI({ baseURL: `${base}/v1`, apiKey, ...options }).chat.completions,
    anthropic: new Anthropic({ baseURL: base, apiKey, ...options }).messages });
const direct = side(provider, 'sk-test'), through = side(gateway, key);

const take = async (api, request) => {
    const got = [];
    try {
        for await (const event of await api.create(request)) got.push(event);
    } catch (e) {
        got.push({ class: e.constructor.name, message: e.message });
    }
    return got;
};

let n = 0;
for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (!line) continue;
    const { name, anthropic, request } = JSON.parse(line);
    const api = anthropic ? 'anthropic' : 'openai';
    const want = await take(direct[api], request);
    const got = await take(through[api], { ...request, model: `${api}/${request.model}` });
    const same = want.length > 0 && isDeepStrictEqual(got, want);
    console.log(`${same ? 'ok' : 'not ok'} ${++n} - ${name} through the SDK`);
    if (!same) console.log(`# ${got.length} objects instead of ${want.length}: ${JSON.stringify(got).slice(-400)}`);
}
