// node lookup.js PORT BACKEND: the first idea's p2p server. Each GET is answered with the next address.
const http = require("http");
const [port, backend] = process.argv.slice(2);
const addresses = [backend];
let next = 0;

http
  .createServer((request, response) => response.end(`${addresses[next++ % addresses.length]}\n`))
  .listen(Number(port), "127.0.0.1", 1024);
