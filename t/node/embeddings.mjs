// The stock SDKs on what stands beside their main endpoints: node embeddings.mjs GATEWAY KEY RECORDINGS prints TAP.
// Model "e-<id>/…" answers with a recording, "g/…" is Google's, "o/…" Ollama's, "c/…" Cohere's, "echo/echo" echo.
console.warn = () => {};
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';

const [base, key, file] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0 });
let n = 0, failed = 0;
const ok = (good, name, detail) => {
    n++;
    if (!good) failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
    if (!good) console.log(`# ${String(detail).slice(0, 900)}`);
};
const floats = text => Array.from(new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer));
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

// As recorded, read without any SDK.
for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
    const r = JSON.parse(line);
    if (r.api !== 'openai.embeddings') continue;
    const { encoding_format, ...rest } = r.request;
    // Without a word the SDK asks for base64, which a recording in floats is no answer to.
    const ask = encoding_format === 'base64' ? rest : { ...rest, encoding_format: 'float' };
    const said = JSON.parse(r.response);
    try {
        const got = await openai.embeddings.create({ ...ask, model: `e-${r.id}/${r.request.model}` });
        ok(r.status === 200 && got.data.length === said.data.length && got.usage.prompt_tokens === said.usage.prompt_tokens
            && got.data.every((d, i) => same(Array.from(d.embedding), typeof said.data[i].embedding === 'string'
                ? floats(said.data[i].embedding) : said.data[i].embedding)), `recording ${r.id}`, JSON.stringify(got));
    } catch (e) {
        ok(e.status === r.status && e.code === said.error.code, `recording ${r.id}: its error`, e);
    }
}

const vector = [0.5, -0.25, Math.fround(1 / 3)];
for (const [who, format] of ['g', 'o', 'c'].flatMap(p => [undefined, 'float', 'base64'].map(f => [p, f]))) {
    const got = await openai.embeddings.create({ model: `${who}/m`, input: ['a', 'b'], ...(format && { encoding_format: format }) });
    const v = got.data[1].embedding;
    ok(got.data.length === 2 && same(typeof v === 'string' ? floats(v) : Array.from(v).map(Math.fround), vector),
        `${who}: another's, asked in ${format ?? 'what the SDK asks in'}`, JSON.stringify(got));
}

const text = await openai.completions.create({ model: 'echo/echo', prompt: 'one two', max_tokens: 50 });
ok(text.object === 'text_completion' && text.choices[0].text === 'one two', 'a completion', JSON.stringify(text));
let all = '', last;
for await (const c of await openai.completions.create({ model: 'echo/echo', prompt: 'one two', max_tokens: 50, stream: true,
    stream_options: { include_usage: true } })) {
    all += c.choices[0]?.text ?? '';
    last = c;
}
ok(all === 'one two' && last.usage.completion_tokens > 0, 'a stream of one', all + JSON.stringify(last));

const count = await anthropic.messages.countTokens({ model: 'g/m', messages: [{ role: 'user', content: 'Hi' }] });
ok(count.input_tokens === 23, 'a count', JSON.stringify(count));
process.exit(failed ? 1 : 0);
