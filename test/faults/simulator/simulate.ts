import { World } from './world.js';
const [from = '1', count = '1', trace] = process.argv.slice(2);
Error.stackTraceLimit = 0; let current = 0; const bad: number[] = [];
process.on('unhandledRejection', (reason) => { console.log(`seed ${current}: unhandled`, reason); bad.push(current); });
let acquired = 0, writes = 0, steps = 0;
const t = process.cpuUsage().user;
for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  current = seed;
  const f = await new World(seed, {}, trace !== undefined).run();
  acquired += f.acquired; writes += f.writes; steps += f.steps;
  if (trace) console.log(f.trace.join('\n'));
  if (f.problems.length) { bad.push(seed); if (bad.length < 12) console.log(seed, f.problems.slice(0, 4)); }
}
const ms = (process.cpuUsage().user - t) / 1000;
console.log({ bad: bad.length, acquired, writes, steps, msPerSeed: ms / Number(count) });
