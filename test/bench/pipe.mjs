/** What a proxy costs that does nothing: node:http in, undici out, bytes piped. */
import { createServer } from 'node:http';
import { Pool } from 'undici';

const pool = new Pool(process.argv[2], { connections: 64 });

createServer((request, response) => {
  if (request.url === '/cpu') {
    const { user, system } = process.cpuUsage();
    response.end(String(user + system));
    return;
  }
  pool
    .request({
      method: request.method,
      path: request.url,
      headers: { 'content-type': 'application/json' },
      body: request,
    })
    .then(({ statusCode, headers, body }) => {
      response.writeHead(statusCode, headers);
      body.pipe(response);
    })
    .catch(() => response.destroy());
}).listen(0, '127.0.0.1', function listening() {
  process.send({ port: this.address().port });
});
