// Programs as their authors' manuals have them, each with a turn of tools: node programs.mjs GATEWAY KEY PROVIDERS prints TAP.
// PROVIDERS: names, separated by commas, of providers with the model of model.mjs behind them.
console.warn = () => {};
globalThis.AI_SDK_LOG_WARNINGS = false;
import { isDeepStrictEqual } from 'node:util';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import { generateText, isStepCount, streamText, tool } from 'ai';
import { createOpenAI } from '@ai-sdk/openai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { ChatAnthropic } from '@langchain/anthropic';
import { HumanMessage } from '@langchain/core/messages';
import { tool as chainTool } from '@langchain/core/tools';
import { z } from 'zod';

const [base, key, names] = process.argv.slice(2);
const url = `${base}/v1`, prompt = 'Rain?', description = 'The weather of a city';
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const shape = z.object({ city: z.string() });
const oa = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0, logLevel: 'error' });
const an = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0, logLevel: 'error' });

// A program takes a model and its tool, and gives { text, usages: [[input, output], …] of its turns, where it tells }.
const programs = {};
for (const stream of [false, true]) {
    const how = stream ? 'stream' : 'object';
    programs[`openai, chat, runTools, ${how}`] = async (model, weather) => {
        const runner = oa.chat.completions.runTools({ model, messages: [{ role: 'user', content: prompt }], stream,
            ...stream && { stream_options: { include_usage: true } },
            tools: [{ type: 'function', function: { name: 'weather', description, parameters: schema, parse: JSON.parse, function: weather } }] });
        const text = await runner.finalContent(), { prompt_tokens, completion_tokens } = await runner.totalUsage();
        return { text, usages: [[prompt_tokens / 2, completion_tokens / 2]] };
    };
    for (const stored of [false, true])
        programs[`openai, responses, ${stored ? 'previous_response_id' : 'all again'}, ${how}`] = async (model, weather) => {
            const usages = [];
            let ask = { model, input: [{ role: 'user', content: prompt }], store: stored,
                tools: [{ type: 'function', name: 'weather', description, parameters: schema, strict: true }] };
            for (;;) {
                const r = stream ? await oa.responses.stream(ask).finalResponse() : await oa.responses.create(ask);
                usages.push([r.usage.input_tokens, r.usage.output_tokens]);
                const calls = r.output.filter(item => item.type === 'function_call');
                if (!calls.length) return { text: r.output_text, usages };
                const heard = calls.map(c => ({ type: 'function_call_output', call_id: c.call_id, output: weather(JSON.parse(c.arguments)) }));
                ask = stored ? { ...ask, previous_response_id: r.id, input: heard } : { ...ask, input: [...ask.input, ...r.output, ...heard] };
            }
        };
    programs[`@anthropic-ai/sdk, toolRunner, ${how}`] = async (model, weather) => {
        const usages = [];
        const runner = an.beta.messages.toolRunner({ model, max_tokens: 99, messages: [{ role: 'user', content: prompt }], stream,
            tools: [betaTool({ name: 'weather', description, inputSchema: schema, run: weather })] });
        let message;
        for await (const turn of runner) {
            message = stream ? await turn.finalMessage() : turn;
            usages.push([message.usage.input_tokens, message.usage.output_tokens]);
        }
        return { text: message.content.map(b => b.text ?? '').join(''), usages };
    };
    const settings = { baseURL: url, apiKey: key };
    for (const [name, model] of Object.entries({ '@ai-sdk/openai': createOpenAI(settings), '@ai-sdk/openai, chat': createOpenAI(settings).chat,
        '@ai-sdk/anthropic': createAnthropic(settings),
        '@ai-sdk/openai-compatible': createOpenAICompatible({ ...settings, name: 'gateway', includeUsage: true }) }))
        programs[`ai, ${name}, ${how}`] = async (id, weather) => {
            const ask = { model: model(id), prompt, maxRetries: 0, stopWhen: isStepCount(3),
                tools: { weather: tool({ description, inputSchema: shape, execute: weather }) } };
            const r = stream ? streamText(ask) : await generateText(ask);
            const steps = await r.steps;
            return { text: await r.text, usages: steps.map(s => [s.usage.inputTokens, s.usage.outputTokens]) };
        };
    const openai = { apiKey: key, maxRetries: 0, configuration: { baseURL: url } };
    for (const [name, make] of Object.entries({ 'ChatOpenAI': model => new ChatOpenAI({ ...openai, model }),
        'ChatOpenAI, responses': model => new ChatOpenAI({ ...openai, model, useResponsesApi: true }),
        'ChatAnthropic': model => new ChatAnthropic({ apiKey: key, maxRetries: 0, anthropicApiUrl: base, model, maxTokens: 99 }) }))
        programs[`LangChain, ${name}, ${how}`] = async (id, weather) => {
            const chained = chainTool(weather, { name: 'weather', description, schema: shape });
            const model = make(id).bindTools([chained]), messages = [new HumanMessage(prompt)], usages = [];
            for (;;) {
                let m;
                if (stream) for await (const chunk of await model.stream(messages)) m = m ? m.concat(chunk) : chunk;
                else m = await model.invoke(messages);
                // Its stream of Anthropic's takes the input from message_start alone, where it is known to Anthropic only.
                if (name !== 'ChatAnthropic' || !stream) usages.push([m.usage_metadata.input_tokens, m.usage_metadata.output_tokens]);
                if (!m.tool_calls?.length) return { text: m.text, usages };
                messages.push(m);
                for (const call of m.tool_calls) messages.push(await chained.invoke(call));
            }
        };
}

let n = 0, failed = 0;
const ok = (good, name) => {
    n++;
    if (!good) failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${n} - ${name}`);
};
for (const [name, program] of Object.entries(programs)) {
    let tried = 0, passed = 0;
    await Promise.all(names.split(',').map(async provider => {
        const cities = [];
        let got;
        try {
            got = await program(`${provider}/m`, ({ city }) => { cities.push(city); return `wet in ${city}`; });
        } catch (e) {
            got = { error: e.stack };
        }
        tried++;
        if (isDeepStrictEqual(cities, ['Paris', 'Bern']) && got.text === 'heard: wet in Paris; wet in Bern'
            && got.usages.every(u => isDeepStrictEqual(u, [50, 7]))) return void passed++;
        ok(false, `${name} with ${provider}`);
        console.log(`# ${JSON.stringify(cities)} ${JSON.stringify(got).slice(0, 900)}`);
    }));
    ok(tried === passed, `${name}: ${tried} tried, ${passed} passed`);
}
console.log(`1..${n}`);
process.exit(failed ? 1 : 0);
