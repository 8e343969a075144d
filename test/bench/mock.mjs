/** The provider of the benchmark: answers at once, a completion of about 1 KB or a stream of 100 chunks of 255 bytes. */
import { createServer } from 'node:http';

const WORDS =
  'The gateway reads every word of this answer before the client does, and holds back next to nothing of it. ';
const chunk = (content) => {
  const event = (text) =>
    `data: ${JSON.stringify({ id: 'chatcmpl-bench', object: 'chat.completion.chunk', created: 1, model: 'bench', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`;
  return event(content.padEnd(content.length + Math.max(0, 255 - event(content).length), WORDS));
};
const finish = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`;
const stream = Array.from({ length: 100 }, (_, i) => chunk(WORDS.slice((i * 7) % 60).slice(0, 40)));
const whole = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1,
  model: 'bench',
  choices: [{ index: 0, message: { role: 'assistant', content: WORDS.repeat(7) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 500, completion_tokens: 150, total_tokens: 650 },
});

createServer((request, response) => {
  let streaming = false;
  request.on('data', (data) => {
    streaming ||= data.includes('"stream":true');
  });
  request.on('end', () => {
    if (!streaming) {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(whole) });
      response.end(whole);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of stream) response.write(part);
    response.end(finish);
  });
}).listen(0, '127.0.0.1', function listening() {
  process.send({ port: this.address().port });
});
