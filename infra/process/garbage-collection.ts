import { setFlagsFromString } from 'node:v8';

/**
 * For processes whose heap is small but that pass large buffers along. Once 64 MiB of buffers were allocated since the last
 * collection, V8 begins incremental marking, and from then on every further buffer pays a marking step of 5 to 10 ms: with
 * images of a megabyte every second request stood still for 20 ms. Marking a heap of 20 MB in one go takes less than one of these
 * steps, and the scavenges of young objects free nearly all buffers before it comes to that. To be called once, at start.
 */
export function tuneForLargeBuffers(): void {
  setFlagsFromString('--no-incremental-marking');
}
