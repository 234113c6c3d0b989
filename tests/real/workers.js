// Node: two workers, one waiting for its parent and one in Atomics.wait, and a timer in the main thread.
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');

if (isMainThread) {
  let started = 0;
  for (const kind of ['message', 'wait']) {
    const worker = new Worker(__filename, { workerData: kind });
    worker.on('message', () => { if (++started === 2) setTimeout(() => console.log('ready'), 500); });
  }
  setInterval(() => {}, 1e8);
} else {
  parentPort.postMessage('started');
  if (workerData === 'wait') {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  } else {
    parentPort.on('message', () => {});
  }
}
