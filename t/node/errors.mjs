// Errors, retries, aborts and timeouts of the stock SDKs: node errors.mjs PORT GATEWAY KEY prints TAP.
// It is its own provider, on PORT: the model's name says how that answers.  What it prints as "kill" is a wish: kill a worker.
import { createServer } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import OpenAI, * as openai from 'openai';
import Anthropic, * as anthropic from '@anthropic-ai/sdk';

const [port, base, key] = process.argv.slice(2);
let n = 0, failed = 0;
const ok = (good, name, detail) => {
    n++;
    if (!good) failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
    if (!good && detail !== undefined) console.log(`# ${String(detail).slice(0, 900)}`);
};
const is = (got, want, name) => ok(isDeepStrictEqual(got, want), name,
    `got ${JSON.stringify(got)}, wanted ${JSON.stringify(want)}`);
const sleep = ms => new Promise(done => setTimeout(done, ms));
const until = async (what, name) => {
    for (let i = 0; i < 600 && !what(); i++) await sleep(50);
    ok(what(), name);
};

const seen = {}, aborted = {};          // calls by model, and those that were left
const word = (an, text) => an
    ? `event: content_block_delta\ndata: ${JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })}\n\n`
    : `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`;
const begin = an => an ? `event: message_start\ndata: ${JSON.stringify({ type: 'message_start', message: { id: 'm', type: 'message',
    role: 'assistant', model: 'x', content: [], stop_reason: null, usage: { input_tokens: 1, output_tokens: 1 } } })}\n\n`
    + `event: content_block_start\ndata: ${JSON.stringify({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } })}\n\n` : '';
const good = an => JSON.stringify(an
    ? { id: 'm', type: 'message', role: 'assistant', model: 'x', content: [{ type: 'text', text: 'fine' }], stop_reason: 'end_turn',
        usage: { input_tokens: 1, output_tokens: 1 } }
    : { id: 'c', object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'fine' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 1, completion_tokens: 1 } });
const bad = (an, type) => JSON.stringify(an ? { type: 'error', error: { type, message: `said ${type}` }, request_id: 'req_inner' }
    : { error: { message: `said ${type}`, type, param: 'p', code: 'c' } });

const server = createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    const an = req.url.includes('/messages');
    const { model } = JSON.parse(body);
    const [what, ...args] = model.split('-');
    const name = (an ? 'an ' : 'oa ') + model;
    const id = { [an ? 'request-id' : 'x-request-id']: 'req_outer' };
    const json = { 'content-type': 'application/json', ...id };
    seen[name] = (seen[name] ?? 0) + 1;
    let ended = false;
    res.on('close', () => { if (!ended) aborted[name] = (aborted[name] ?? 0) + 1; });
    if (what === 'status') {
        ended = true;
        res.writeHead(Number(args[0]), json).end(bad(an, `type_${args[0]}`));
    } else if (what === 'html') {
        ended = true;
        res.writeHead(500, { 'content-type': 'text/html', ...id }).end('<html>no</html>');
    } else if (what === 'retry') {      // retry-STATUS-FAILURES-HEADER-VALUE
        const [status, most, header, value] = args;
        const first = seen[name] <= Number(most);
        ended = true;
        res.writeHead(first ? Number(status) : 200, { ...json, ...(first && header ? { [header.replaceAll('_', '-')]: value } : {}) })
            .end(first ? bad(an, 'again') : good(an));
    } else if (what === 'stall') {
        if (args[0] === 'kill') console.log('kill');
    } else if (what === 'pace' || what === 'inside' || what === 'cut') {
        res.writeHead(200, { 'content-type': 'text/event-stream', ...id });
        res.write(begin(an) + word(an, 'one'));
        if (what === 'inside') {
            await sleep(50);
            ended = true;
            res.end((an ? 'event: error\n' : '') + `data: ${bad(an, 'overloaded_error')}\n\n`);
        } else if (what === 'cut') {
            await sleep(300);
            ended = true;
            res.socket.destroy();
        } else {
            for (let i = 0; i < 600 && !res.destroyed; i++) { res.write(word(an, 'more')); await sleep(50); }
        }
    } else {
        ended = true;
        res.writeHead(200, json).end(good(an));
    }
});
await new Promise(done => server.listen(Number(port), '127.0.0.1', done));

const direct = `http://127.0.0.1:${port}`;
const user = [{ role: 'user', content: 'x' }];
const kinds = {
    oa: { lib: openai, id: 'x-request-id', prefix: 'po/',
        client: (to, options = {}) => new OpenAI({ baseURL: `${to}/v1`, apiKey: key, maxRetries: 0, ...options }),
        call: (c, model, more = {}, options) => c.chat.completions.create({ model, messages: user, ...more }, options),
        text: e => e.choices?.[0]?.delta?.content ?? '', type: e => e.type, },
    an: { lib: anthropic, id: 'request-id', prefix: 'pa/',
        client: (to, options = {}) => new Anthropic({ baseURL: to, apiKey: key, maxRetries: 0, ...options }),
        call: (c, model, more = {}, options) => c.messages.create({ model, max_tokens: 5, messages: user, ...more }, options),
        text: e => e.delta?.text ?? '', type: e => e.error?.error?.type ?? e.type, },
};
const thrown = async call => {
    try {
        await call();
        return null;
    } catch (e) {
        return e;
    }
};
const facts = e => e && { class: e.constructor.name, status: e.status, message: e.message, id: e.requestID, error: e.error,
    code: e.code, type: e.type };

for (const [k, kind] of Object.entries(kinds)) {
    const { lib, prefix } = kind;
    const here = kind.client(direct), there = kind.client(base);
    const both = async (model, more) => [await thrown(() => kind.call(there, prefix + model, more)),
        await thrown(() => kind.call(here, model, more))];

    // What the provider says.
    for (const [status, name] of Object.entries({ 400: 'BadRequestError', 401: 'AuthenticationError', 403: 'PermissionDeniedError',
        404: 'NotFoundError', 408: 'APIError', 409: 'ConflictError', 413: 'APIError', 422: 'UnprocessableEntityError', 429: 'RateLimitError',
        500: 'InternalServerError', 503: 'InternalServerError', 529: 'InternalServerError' })) {
        for (const stream of [false, true]) {
            const [got, want] = await both(`status-${status}`, { stream });
            is(facts(got), facts(want), `${k}: ${status}${stream ? ' of a stream' : ''} is what it is`);
            ok(got instanceof lib[name], `${k}: ${status} is ${name}`, got?.constructor.name);
            is(got?.requestID, 'req_outer', `${k}: ${status} has the provider's request id`);
        }
    }
    {
        const [got, want] = await both('html');
        is(facts(got), facts(want), `${k}: a 500 in HTML is what it is`);
        const message = await kind.call(there, prefix + 'fine');
        is(message._request_id, 'req_outer', `${k}: _request_id of an answer`);
    }

    // What the gateway says.
    for (const [name, status, of, model, options] of [['nobody there', 502, 'InternalServerError', `${k}_nobody/x`],
        ['an unknown model', 404, 'NotFoundError', 'none/none'], ['no key of the provider', 502, 'InternalServerError', `${k}_nokey/x`],
        ['a stalling provider', 504, 'InternalServerError', `${k}_hasty/stall`],
        ['a wrong key', 401, 'AuthenticationError', `${prefix}x`, { apiKey: 'ngx-wrong' }],
        ['a number as model', 400, 'BadRequestError', 7]]) {
        const e = await thrown(() => kind.call(kind.client(base, options), model));
        ok(e instanceof lib[of] && e.status === status, `${k}: ${name} is ${status}, ${of}`, `${e?.constructor.name} ${e?.status} ${e?.message}`);
        const job = e?.headers?.get('x-ai-job') ?? null;
        if (status >= 500) ok(/^job_[0-9a-f]{32}$/.test(job), `${k}: ${name}: a job`, job);
        is(e?.requestID ?? null, job, `${k}: ${name}: its request id is the job's`);
        ok(kind.type(e), `${k}: ${name}: a type`);
    }
    {
        const e = await thrown(() => kind.call(there, prefix + 'x', { messages: [{ role: 'user', content: 'x'.repeat(3e6) }] }));
        is(e?.status, 413, `${k}: too large is 413`);
        const none = await thrown(() => kind.call(kind.client('http://127.0.0.1:1'), 'x'));
        ok(none instanceof lib.APIConnectionError, `${k}: no gateway is APIConnectionError`);
    }

    // In a stream.
    for (const what of ['inside', 'cut']) {
        let text = '';
        const read = to => async () => {
            text = '';
            for await (const event of await kind.call(to, (to === there ? prefix : '') + what, { stream: true })) text += kind.text(event);
        };
        const want = await thrown(read(here)), got = await thrown(read(there));
        is(text, 'one', `${k}: ${what}: what came before`);
        ok(got instanceof lib.APIError, `${k}: ${what} in a stream is an APIError`, got?.stack);
        if (what === 'inside') is(facts(got), facts(want), `${k}: as it is in a direct call`);
        else is(kind.type(got), k === 'oa' ? 'server_error' : 'api_error', `${k}: a cut is worded by the gateway`);
    }

    // Retries: as many calls as a direct client makes.
    for (const [model, calls, least] of [['retry-429-1', 2, 0], ['retry-500-2', 3, 0], ['retry-503-9', 3, 0], ['retry-400-1', null, 0],
        ['retry-429-1-retry_after-1', 2, 1000], ['retry-503-1-retry_after_ms-700', 2, 700], ['retry-500-1-x_should_retry-false', null, 0],
        ['retry-400-1-x_should_retry-true', 2, 0], ['retry-429-1-x_should_retry-false', null, 0]]) {
        const results = [];
        for (const [to, name] of [[base, prefix + model], [direct, model]]) {
            seen[`${k} ${model}`] = 0;
            const began = Date.now();
            const e = await thrown(() => kind.call(kind.client(to, { maxRetries: 2 }), name));
            results.push([seen[`${k} ${model}`], e?.constructor.name ?? 'fine']);
            if (to === base) ok(Date.now() - began >= least * 0.95, `${k}: ${model} waits`, Date.now() - began);
        }
        is(results[0], results[1], `${k}: ${model}: calls and outcome`);
        is(results[0][0], calls ?? 1, `${k}: ${model}: so many calls`);
    }

    // Left: the provider's call ends, too.
    const left = async (name, model, call, check) => {
        const id = `${k} ${model}`;
        const before = aborted[id] ?? 0;
        const e = await thrown(call);
        check(e);
        await until(() => (aborted[id] ?? 0) > before, `${k}: ${name}: the provider's call is aborted`);
    };
    await left('a stream that is broken out of', 'pace', async () => {
        let events = 0;
        for await (const event of await kind.call(there, prefix + 'pace', { stream: true })) if (kind.text(event) && ++events === 3) break;
    }, e => is(e, null, `${k}: break is no error`));
    await left('a stream that is aborted', 'pace', async () => {
        const stream = await kind.call(there, prefix + 'pace', { stream: true });
        let events = 0;
        for await (const event of stream) if (kind.text(event) && ++events === 3) stream.controller.abort();
    }, e => is(e, null, `${k}: abort of a stream ends it`));
    await left('a call that is aborted', 'stall', async () => {
        const controller = new AbortController();
        const before = seen[`${k} stall`] ?? 0;
        const call = kind.call(there, prefix + 'stall', {}, { signal: controller.signal });
        call.catch(() => {});
        await until(() => (seen[`${k} stall`] ?? 0) > before, `${k}: a call has begun`);
        controller.abort();
        await call;
    }, e => ok(e instanceof lib.APIUserAbortError, `${k}: it is APIUserAbortError`, e));
    for (const stream of [false, true]) {
        await left(`a ${stream ? 'stream' : 'call'} that takes too long`, 'stall', () => kind.call(there, prefix + 'stall', { stream },
            { timeout: 1500 }), e => ok(e instanceof lib.APIConnectionTimeoutError, `${k}: it is APIConnectionTimeoutError`, e));
    }
    if (k === 'an') {
        await left('a helper that is aborted', 'pace', async () => {
            const stream = there.messages.stream({ model: `${prefix}pace`, max_tokens: 5, messages: user });
            stream.on('text', () => stream.abort());
            await stream.finalMessage();
        }, e => ok(e instanceof lib.APIUserAbortError, `${k}: it is APIUserAbortError`, e));
    }

    // A worker dies in the middle of a stream: an error, and nobody asks again.
    {
        let text = '';
        const lost = await thrown(async () => {
            for await (const event of await kind.call(kind.client(base, { maxRetries: 2 }), `${prefix}pace-lost`, { stream: true })) {
                if (kind.text(event) && !text) console.log('kill');
                text += kind.text(event);
            }
        });
        ok(lost instanceof lib.APIError, `${k}: a stream that is lost is an APIError`, lost?.stack);
        is(kind.type(lost), k === 'oa' ? 'server_error' : 'api_error', `${k}: worded by the gateway`);
        if (k === 'oa') is(lost?.code, 'stream_lost', `${k}: and coded`);
        ok(/^onemore/.test(text) || text === 'one', `${k}: behind what came before`, text);
        is(seen[`${k} pace-lost`], 1, `${k}: which was asked once`);
    }

    // Three workers die of it: nobody asks again.
    const e = await thrown(() => kind.call(kind.client(base, { maxRetries: 2, timeout: 120000 }), `${prefix}stall-kill`));
    ok(e instanceof lib.InternalServerError && e.status === 502, `${k}: after three workers 502`, e);
    is(e?.headers?.get('x-should-retry'), 'false', `${k}: which is not to be repeated`);
    is(seen[`${k} stall-kill`], 3, `${k}: and is not`);
}

console.log(`1..${n}`);
process.exit(failed ? 1 : 0);
