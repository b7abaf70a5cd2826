// Portkey's gateway as its documents run it in production: NODE_ENV set, no
// console, a process for each processor (what PM2's cluster mode does with
// Node's own cluster).  It listens everywhere; here only loopback will do.
import cluster from 'node:cluster';
import net from 'node:net';
import { availableParallelism } from 'node:os';

if (cluster.isPrimary) {
  for (let i = 0; i < availableParallelism(); i++) cluster.fork();
  cluster.on('exit', () => process.exit(1));
} else {
  const { listen } = net.Server.prototype;
  net.Server.prototype.listen = function (port, ...rest) {
    return listen.call(this, { port, host: '127.0.0.1' },
      ...rest.filter((arg) => typeof arg === 'function'));
  };
  await import('@portkey-ai/gateway/build/start-server.js');
}
