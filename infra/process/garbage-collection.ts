import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * For processes whose heap is small but that pass large buffers along. Once 64 MiB of buffers were allocated since the last
 * collection, V8 begins incremental marking, and from then on every further buffer pays a marking step of 5 to 10 ms: with
 * images of a megabyte every second request stood still for 20 ms. Marking a heap of 20 MB in one go takes less than one of these
 * steps, and the scavenges of young objects free nearly all buffers before it comes to that. To be called once, at start.
 */
export function tuneForLargeBuffers(): void {
  setFlagsFromString('--no-incremental-marking');
}

/**
 * Collects now, for where hundreds of megabytes of buffers were just done with: V8, whose own heap is small, sees no hurry. To be
 * called rarely: it marks the whole heap.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc()');
}
