// Node: functions that were called often enough to be compiled, one of which waits.
const words = new Int32Array(new SharedArrayBuffer(4));

function waitsAtLast(count) {
  if (count > 100000) {
    console.log('ready');
    Atomics.wait(words, 0, 0);
  }
  return count + 1;
}

function callsOften(count) {
  return waitsAtLast(count) + 1;
}

let sum = 0;
for (let count = 0; count <= 200000; count++) sum += callsOften(count);
