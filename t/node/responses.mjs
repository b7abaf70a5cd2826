// State of Responses through the stock client: node responses.mjs GATEWAY KEY MODEL SLOW PASSED prints TAP.
// MODEL answers at once, SLOW says 30 words by and by; so does PASSED, whose ids are its provider's.
import OpenAI from 'openai';
import { isDeepStrictEqual } from 'node:util';

const [base, key, model, slow, passed] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0, timeout: 60000, logLevel: 'error' });
let n = 0, failed = 0;
const ok = (good, name, detail) => {
    n++;
    if (!good) failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
    if (!good && detail !== undefined) console.log(`# ${JSON.stringify(detail)?.slice(0, 900)}`);
};
const plain = o => JSON.parse(JSON.stringify(o));
const clean = o => { const { output_text, _request_id, ...rest } = plain(o); return rest; };
const sleep = ms => new Promise(done => setTimeout(done, ms));
const rejects = async (promise, status, name) => {
    try { await promise; ok(false, name, 'no error'); } catch (e) { ok(e.status === status, name, e.message); }
};

// Stored, read, stood on, listed, deleted.
const first = await client.responses.create({ model, input: 'one' });
const again = await client.responses.retrieve(first.id);
ok(isDeepStrictEqual(clean(first), clean(again)), 'retrieve gives what create gave', again);
const second = await client.responses.create({ model, input: 'two', previous_response_id: first.id });
ok(second.output_text.includes('one') && second.output_text.includes('two'), 'previous_response_id', second.output_text);
const items = [];
for await (const item of client.responses.inputItems.list(second.id)) items.push(item);
ok(items.length === 1 && items[0].content[0].text === 'two', 'input items', items);
await client.responses.delete(second.id);
await rejects(client.responses.retrieve(second.id), 404, 'deleted');
const none = await client.responses.create({ model, input: 'one', store: false });
await rejects(client.responses.retrieve(none.id), 404, 'store: false');

// A stream that breaks at each of some places, and is gone on with.
for (const [at, slowly] of [...[0, 1, 2, 5, 9].map(n => [n, slow]), [0, passed], [6, passed]]) {
    const got = [];
    const stream = await client.responses.create({ model: slowly, input: 'x', stream: true });
    for await (const event of stream) {
        got.push(event);
        if (event.sequence_number === at) break;    // closes the connection
    }
    const id = got[0].response.id;
    for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: at })) got.push(event);
    const whole = [];
    for await (const event of await client.responses.retrieve(id, { stream: true })) whole.push(event);
    ok(isDeepStrictEqual(plain(got), plain(whole)), `${slowly} cut after ${at}: the same transcript`, got.map(e => e.type));
    ok(got.every((e, i) => e.sequence_number === i) && got.at(-1).type === 'response.completed', 'whole, in order');
    ok(isDeepStrictEqual(clean(got.at(-1).response), clean(await client.responses.retrieve(id))), 'and stored');
}

// The background.
let job = await client.responses.create({ model, input: 'back', background: true });
ok(job.status === 'queued', 'in the background', job);
while (job.status === 'queued' || job.status === 'in_progress') {
    await sleep(50);
    job = await client.responses.retrieve(job.id);
}
ok(job.status === 'completed' && job.output_text.includes('back'), 'done there', job);
const left = [];
for await (const event of await client.responses.create({ model: slow, input: 'x', background: true, stream: true })) {
    left.push(event);
    if (left.length === 4) break;
}
for await (const event of await client.responses.retrieve(left[0].response.id, { stream: true, starting_after: 3 })) left.push(event);
ok(left.every((e, i) => e.sequence_number === i) && left.at(-1).type === 'response.completed', 'and read along');
job = await client.responses.create({ model: slow, input: 'x', background: true });
ok((await client.responses.cancel(job.id)).status === 'cancelled', 'cancelled');

console.log(`1..${n}`);
process.exit(failed ? 1 : 0);
