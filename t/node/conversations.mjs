// Conversations through the stock client: node conversations.mjs GATEWAY KEY MODEL TOOL prints TAP.
// MODEL says what it was asked with; TOOL calls "code" until it has a result, which it says.
import OpenAI from 'openai';
import { isDeepStrictEqual } from 'node:util';

const [base, key, model, tool] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0, timeout: 60000, logLevel: 'error' });
let n = 0, failed = 0;
const ok = (good, name, detail) => {
    n++;
    if (!good) failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
    if (!good && detail !== undefined) console.log(`# ${JSON.stringify(detail)?.slice(0, 900)}`);
};
const same = (a, b, name) => ok(isDeepStrictEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b))), name, a);
const rejects = async (promise, status, name) => {
    try { await promise; ok(false, name, 'no error'); } catch (e) { ok(e.status === status, name, e.message); }
};
const texts = async id => {
    const all = [];
    for await (const item of client.conversations.items.list(id, { order: 'asc', limit: 2 }))
        all.push(item.type === 'message' ? `${item.role}: ${item.content.map(c => c.text).join('')}` : item.type);
    return all;
};

// Made, read, changed, deleted.
const made = await client.conversations.create({ metadata: { topic: 'demo' },
    items: [{ type: 'message', role: 'user', content: 'Hello!' }] });
ok(/^conv_/.test(made.id) && made.object === 'conversation' && made.metadata.topic === 'demo', 'create', made);
same(await client.conversations.retrieve(made.id), made, 'retrieve');
const changed = await client.conversations.update(made.id, { metadata: { topic: 'x' } });
same(changed, { ...made, metadata: { topic: 'x' } }, 'update');
const empty = await client.conversations.create();
same(await texts(empty.id), [], 'an empty one');
same(await client.conversations.delete(empty.id), { id: empty.id, object: 'conversation.deleted', deleted: true }, 'delete');
await rejects(client.conversations.retrieve(empty.id), 404, 'it is gone');

// Items.
const added = await client.conversations.items.create(made.id, { include: ['reasoning.encrypted_content'], items: [
    { role: 'user', content: [{ type: 'input_text', text: 'one' }] }, { role: 'assistant', content: 'two' }] });
ok(added.object === 'list' && added.data.length === 2 && !added.has_more && added.last_id === added.data[1].id, 'items.create', added);
same(await client.conversations.items.retrieve(added.first_id, { conversation_id: made.id }), added.data[0], 'items.retrieve');
same(await texts(made.id), ['user: Hello!', 'user: one', 'assistant: two'], 'items.list, page by page');
const left = await client.conversations.items.delete(added.last_id, { conversation_id: made.id });
same(left, changed, 'items.delete');
same(await texts(made.id), ['user: Hello!', 'user: one'], 'it is gone');

// Responses.
const first = await client.responses.create({ model, conversation: made.id, input: 'two' });
same(first.conversation, { id: made.id }, 'the response says where it belongs');
ok(first.output_text === 'Hello!|one|two', 'and has what was said before', first.output_text);
const events = [];
const stream = client.responses.stream({ model, conversation: { id: made.id }, input: 'three' });
for await (const event of stream) events.push(event);
const second = await stream.finalResponse();
ok(second.output_text === 'Hello!|one|two|Hello!|one|two|three', 'a stream as well', second.output_text);
ok(events[0].response.conversation.id === made.id, 'says so');
ok((await texts(made.id)).length === 6, 'each is there once', await texts(made.id));
await rejects(client.responses.create({ model, conversation: made.id, previous_response_id: first.id, input: 'x' }), 400, 'not with another state');

// A tool, whose result alone is sent.
const talk = await client.conversations.create();
const tools = [{ type: 'function', name: 'code', description: null, strict: false,
    parameters: { type: 'object', properties: {}, additionalProperties: false } }];
const call = (await client.responses.create({ model: tool, conversation: talk.id, tools, input: 'Which code?' })).output.at(-1);
ok(call.type === 'function_call' && call.name === 'code', 'a call', call);
const said = await client.responses.create({ model: tool, conversation: talk.id, tools,
    input: [{ type: 'function_call_output', call_id: call.call_id, output: '1234' }] });
ok(said.output_text === '1234', 'and its result', said);
same((await texts(talk.id)).filter(t => t !== 'reasoning'),
    ['user: Which code?', 'function_call', 'function_call_output', 'assistant: 1234'], 'all of it is kept');

// In the background.
let job = await client.responses.create({ model, conversation: talk.id, input: 'back', background: true });
ok(job.status === 'queued' && job.conversation.id === talk.id, 'in the background', job);
while (job.status === 'queued' || job.status === 'in_progress') {
    await new Promise(done => setTimeout(done, 50));
    job = await client.responses.retrieve(job.id);
}
ok(job.status === 'completed' && (await texts(talk.id)).at(-2) === 'user: back', 'done, and added', job);

console.log(`1..${n}`);
process.exit(failed ? 1 : 0);
