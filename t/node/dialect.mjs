// A provider of another dialect through the stock SDKs: node dialect.mjs GATEWAY KEY MODEL EXPECTED prints TAP.
// The provider thinks "hm", calls weather twice, and says EXPECTED.text when it has heard both results.
console.warn = () => {};
import { isDeepStrictEqual } from 'node:util';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';

const [base, key, model, expected] = process.argv.slice(2);
const want = JSON.parse(expected);
const options = { maxRetries: 0, timeout: 60000, logLevel: 'error' };
const oa = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, ...options });
const an = new Anthropic({ baseURL: base, apiKey: key, ...options });
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const cities = ['Paris', 'Bern'];
let n = 0, failed = 0;
const ok = (good, name, detail) => {
    n++;
    if (!good) failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
    if (!good) console.log(`# ${String(detail).slice(0, 900)}`);
};
const is = (got, wanted, name) => ok(isDeepStrictEqual(got, wanted), name,
    `${JSON.stringify(got)} is not ${JSON.stringify(wanted)}`);

const openai = async how => {
    const ask = { model, messages: [{ role: 'user', content: 'Rain?' }],
        tools: [{ type: 'function', function: { name: 'weather', parameters: schema } }] };
    const turn = async () => {
        if (how === 'object') return await oa.chat.completions.create(ask);
        if (how === 'helper') return await oa.chat.completions.stream({ ...ask,
            stream_options: { include_usage: true } }).finalChatCompletion();
        const message = { role: 'assistant', content: '', reasoning_content: '' };
        const choice = { message };
        const all = { choices: [choice] };
        for await (const chunk of await oa.chat.completions.create({ ...ask, stream: true,
            stream_options: { include_usage: true } })) {
            Object.assign(all, { id: chunk.id, model: chunk.model }, chunk.usage ? { usage: chunk.usage } : {});
            const c = chunk.choices[0];
            if (!c) continue;
            message.content += c.delta.content ?? '';
            message.reasoning_content += c.delta.reasoning_content ?? '';
            for (const t of c.delta.tool_calls ?? []) {
                message.tool_calls ??= [];
                message.tool_calls[t.index] ??= { id: t.id, type: 'function', function: { name: t.function.name, arguments: '' } };
                message.tool_calls[t.index].function.arguments += t.function.arguments ?? '';
            }
            choice.finish_reason = c.finish_reason ?? choice.finish_reason;
        }
        return all;
    };
    const name = `openai, ${how}`;
    const first = await turn();
    const m = first.choices[0].message;
    is(m.tool_calls.map(c => [c.function.name, JSON.parse(c.function.arguments)]),
        cities.map(city => ['weather', { city }]), `${name}: two calls`);
    ok(new Set(m.tool_calls.map(c => c.id)).size === 2 && m.tool_calls.every(c => c.id), `${name}: with ids`,
        JSON.stringify(m.tool_calls));
    is(first.choices[0].finish_reason, 'tool_calls', `${name}: why it ended`);
    if (how !== 'helper') is(m.reasoning_content, 'hm', `${name}: reasoning`);
    is([first.usage.prompt_tokens, first.usage.completion_tokens, first.usage.total_tokens],
        [want.input, want.output, want.input + want.output], `${name}: usage`);
    is(first.model, want.model, `${name}: model`);
    ask.messages.push(m, ...m.tool_calls.map((c, i) => ({ role: 'tool', tool_call_id: c.id, content: `wet ${i}` })));
    const second = await turn();
    is(second.choices[0].message.content, want.text, `${name}: the next turn`);
    is(second.choices[0].finish_reason, 'stop', `${name}: and its end`);
};
const anthropic = async how => {
    const ask = { model, max_tokens: 99, messages: [{ role: 'user', content: 'Rain?' }],
        tools: [{ name: 'weather', input_schema: schema }] };
    const turn = async () => how === 'object' ? await an.messages.create(ask) : await an.messages.stream(ask).finalMessage();
    const name = `@anthropic-ai/sdk, ${how}`;
    const first = await turn();
    const calls = first.content.filter(b => b.type === 'tool_use');
    is(calls.map(c => [c.name, c.input]), cities.map(city => ['weather', { city }]), `${name}: two calls`);
    is(first.stop_reason, 'tool_use', `${name}: why it ended`);
    is(first.content.filter(b => b.type === 'thinking').map(b => b.thinking).join(''), 'hm', `${name}: reasoning`);
    const u = first.usage;
    is([u.input_tokens + (u.cache_read_input_tokens ?? 0), u.output_tokens], [want.input, want.output], `${name}: usage`);
    is(first.model, want.model, `${name}: model`);
    ask.messages.push({ role: 'assistant', content: first.content }, { role: 'user',
        content: calls.map((c, i) => ({ type: 'tool_result', tool_use_id: c.id, content: `wet ${i}` })) });
    const second = await turn();
    is(second.content.filter(b => b.type === 'text').map(b => b.text).join(''), want.text, `${name}: the next turn`);
    is(second.stop_reason, 'end_turn', `${name}: and its end`);
};

const tried = [[openai, 'object'], [openai, 'chunks'], [openai, 'helper'], [anthropic, 'object'], [anthropic, 'stream']];
let passed = 0;
for (const [run, how] of tried) {
    const before = failed;
    try {
        await run(how);
    } catch (e) {
        ok(false, `${run.name}, ${how}: no error`, e.stack);
    }
    passed += failed === before;
}
ok(passed === tried.length, `${model}: ${tried.length} tried, ${passed} passed`, '');
console.log(`1..${n}`);
process.exit(failed ? 1 : 0);
