// The stock SDKs against the gateway: node sdk.mjs BASE KEY prints TAP.
import OpenAI, * as openai from 'openai';
import Anthropic, * as anthropic from '@anthropic-ai/sdk';

const [base, key] = process.argv.slice(2);
let n = 0, failed = 0;
const ok = (good, name, detail) => {
    n++;
    if (!good) failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
    if (!good && detail !== undefined) console.log(`# ${String(detail).slice(0, 500)}`);
};
const is = (got, want, name) => ok(got === want, name, `got ${JSON.stringify(got)}, wanted ${JSON.stringify(want)}`);
const fails = async (kind, status, name, call) => {
    try {
        await call();
        ok(false, name, 'it succeeded');
    } catch (e) {
        ok(e instanceof kind && e.status === status, name, `${e.constructor.name} ${e.status} ${e.message}`);
        return e;
    }
};

const user = text => [{ role: 'user', content: text }];
const oa = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
const an = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0 });

{
    const { data, response } = await oa.chat.completions.create(
        { model: 'echo/echo', messages: user('one two three') }).withResponse();
    is(data.choices[0].message.content, 'one two three', 'openai: a completion');
    is(data.choices[0].finish_reason, 'stop', 'openai: its finish reason');
    ok(data.usage.total_tokens > 0, 'openai: its usage');
    ok(/^job_[0-9a-f]{32}$/.test(response.headers.get('x-ai-job')), 'openai: X-AI-Job');
}
{
    let text = '', chunks = 0, usage = null;
    const stream = await oa.chat.completions.create({ model: 'echo/echo', stream: true,
        stream_options: { include_usage: true }, messages: user('a stream of words') });
    for await (const chunk of stream) {
        chunks++;
        text += chunk.choices[0]?.delta?.content ?? '';
        usage = chunk.usage ?? usage;
    }
    is(text, 'a stream of words', 'openai: a stream');
    ok(chunks > 3, 'openai: in pieces');
    ok(usage && usage.total_tokens > 0, 'openai: usage where it was asked for');
}
{
    let usage = 0;
    const stream = await oa.chat.completions.create({ model: 'echo/echo', stream: true, messages: user('x y') });
    for await (const chunk of stream) if (chunk.usage) usage++;
    is(usage, 0, 'openai: no usage where it was not');
}
{
    const stream = await oa.chat.completions.create({ model: 'echo/echo', stream: true,
        messages: user(Array(400).fill('word').join(' ')) });
    let chunks = 0;
    for await (const chunk of stream) {
        if (chunk && ++chunks === 3) break;
    }
    is(chunks, 3, 'openai: a stream left early');
    ok(stream.controller.signal.aborted, 'openai: is aborted');
}
{
    const ids = [];
    for await (const model of oa.models.list()) ids.push(model.id);
    ok(ids.includes('echo/echo'), 'openai: models.list');
    is((await oa.models.retrieve('echo/echo')).id, 'echo/echo', 'openai: models.retrieve');
}
await fails(openai.AuthenticationError, 401, 'openai: a wrong key',
    () => new OpenAI({ baseURL: `${base}/v1`, apiKey: 'ngx-wrong', maxRetries: 0 }).models.list());
await fails(openai.NotFoundError, 404, 'openai: an unknown model',
    () => oa.chat.completions.create({ model: 'nobody/nothing', messages: user('x') }));
await fails(openai.BadRequestError, 400, 'openai: a body of the wrong type',
    () => oa.chat.completions.create({ model: 7, messages: user('x') }));
{
    const e = await fails(openai.NotFoundError, 404, 'openai: an unknown path', () => oa.post('/nothing', { body: {} }));
    ok(e && e.error && e.error.type, 'openai: its error body is read');
}

{
    const message = await an.messages.create({ model: 'echo/echo', max_tokens: 100, messages: user('one two three') });
    is(message.content[0].text, 'one two three', 'anthropic: a message');
    is(message.stop_reason, 'end_turn', 'anthropic: its stop reason');
    ok(message.usage.output_tokens > 0, 'anthropic: its usage');
}
{
    const stream = an.messages.stream({ model: 'echo/echo', max_tokens: 100, messages: user('a stream of words') });
    const kinds = new Set();
    stream.on('streamEvent', event => kinds.add(event.type));
    const message = await stream.finalMessage();
    is(message.content[0].text, 'a stream of words', 'anthropic: a stream');
    for (const kind of ['message_start', 'content_block_start', 'content_block_delta', 'content_block_stop',
        'message_delta', 'message_stop'])
        ok(kinds.has(kind), `anthropic: ${kind}`);
    ok(message.usage.output_tokens > 0, 'anthropic: usage of a stream');
}
{
    const ids = [];
    for await (const model of an.models.list()) ids.push(model.id);
    ok(ids.includes('echo/echo'), 'anthropic: models.list');
    is((await an.models.retrieve('echo/echo')).type, 'model', 'anthropic: models.retrieve');
}
await fails(anthropic.AuthenticationError, 401, 'anthropic: a wrong key',
    () => new Anthropic({ baseURL: base, apiKey: 'ngx-wrong', maxRetries: 0 })
        .messages.create({ model: 'echo/echo', max_tokens: 1, messages: user('x') }));
await fails(anthropic.NotFoundError, 404, 'anthropic: an unknown model',
    () => an.messages.create({ model: 'nobody/nothing', max_tokens: 1, messages: user('x') }));
await fails(anthropic.BadRequestError, 400, 'anthropic: a body of the wrong type',
    () => an.messages.create({ model: [], max_tokens: 1, messages: user('x') }));

console.log(`1..${n}`);
process.exit(failed ? 1 : 0);
