// Recordings of all dialects through the Vercel AI SDK, each of its clients where the recording is of another dialect:
// node translate-ai.mjs GATEWAY KEY RECORDINGS PORT SEED MOST prints TAP.  It is the provider, too, on PORT.
console.warn = () => {};
globalThis.AI_SDK_LOG_WARNINGS = false;
import { generateText, jsonSchema, streamText, tool } from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { run } from './recorded.mjs';

const [base, key, file, port, seed, most] = process.argv.slice(2);
const options = { baseURL: `${base}/v1`, apiKey: key };
const openai = createOpenAI(options);
const anthropic = createAnthropic(options);
const compatible = createOpenAICompatible({ ...options, name: 'gateway', includeUsage: true });
const models = { chat: model => openai.chat(model), responses: model => openai.responses(model),
    anthropic: model => anthropic(model), compatible: model => compatible(model) };

const finishes = { 'tool-calls': 'tools', 'content-filter': 'filter' };
const through = async (r, client, model) => {
    const tools = Object.fromEntries((r.want.calls ?? []).map(c => [c.name, tool({ inputSchema: jsonSchema({}) })]));
    const ask = { model: models[client](model), prompt: 'x', maxRetries: 0, tools };
    let got, errors = [];
    if (r.stream) {
        got = streamText({ ...ask, onError: ({ error }) => errors.push(error) });
        let text = '';
        for await (const part of got.fullStream) if (part.type === 'text-delta') text += part.text;
        if (errors.length) throw errors[0];
        if (text !== await got.text) return { text: `its parts are others: ${text}` };
    } else got = await generateText(ask);
    const usage = await got.usage, finish = await got.finishReason;
    return { text: await got.text, calls: (await got.toolCalls).map(c => ({ name: c.toolName,
        args: typeof c.input === 'string' ? c.input : JSON.stringify(c.input) })), finish: finishes[finish] ?? finish,
    error: false, input: usage.inputTokens, output: usage.outputTokens };
};
await run({ file, port, seed, most: Number(most), through, clients: {
    chat: { name: '@ai-sdk/openai (chat)', speaks: ['openai', 'azure'] },
    compatible: { name: '@ai-sdk/openai-compatible', speaks: ['openai', 'azure'] },
    responses: { name: '@ai-sdk/openai', speaks: ['responses'] },
    anthropic: { name: '@ai-sdk/anthropic', speaks: ['anthropic'] } } });
