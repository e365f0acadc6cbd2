// The main of a thread in an engine process: kills the process once its parent is not the one that started it.
import process from 'node:process';
import { workerData } from 'node:worker_threads';

const LOOK_EVERY_MS = 1000;

setInterval(() => {
  if (process.ppid !== workerData) {
    // Not `exit`: it would wait for a main thread that is blocked.
    process.kill(process.pid, 'SIGKILL');
  }
}, LOOK_EVERY_MS);
