// node http_proxy.js PORT BACKEND FOLDER [keep-alive]: the npm package http-proxy, which is in FOLDER.
// Without keep-alive it is the first idea's proxy.
const http = require("http");
const [port, backend, folder, keepAlive] = process.argv.slice(2);
const httpProxy = require(require.resolve("http-proxy", { paths: [folder] }));

const proxy = httpProxy.createProxyServer(keepAlive ? { agent: new http.Agent({ keepAlive: true }) } : {});
proxy.on("error", (error, request, response) => {
  if (!response.headersSent) response.writeHead(502);
  response.end(String(error));
});

http
  .createServer((request, response) => proxy.web(request, response, { target: `http://${backend}` }))
  .listen(Number(port), "127.0.0.1", 1024);
