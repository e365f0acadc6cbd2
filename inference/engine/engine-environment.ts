/** glibc's largest: what it takes from the kernel for each block above is given back with it. */
const MMAP_THRESHOLD_BYTES = 32 * 1024 * 1024;
/** Freed memory that an engine may keep: about what the buffers of one image take, which so stay from one image to the next. */
export const KEPT_FREE_BYTES = 64 * 1024 * 1024;

/**
 * The environment of an engine process: the server's, and what only takes effect before a process starts.
 *
 * An image's buffers are a few blocks of megabytes, made and freed for every image. By default glibc gives each back to the kernel
 * and gets it again as pages that have to be cleared and mapped one by one: a tenth and more of the time of an image. Here an
 * engine keeps them, and in one heap instead of one for each of its threads, which adds up: after 8000 images of all sizes 530 MiB
 * were resident, with one heap 165. All goes back when it ends. Other C libraries do not look at these variables. What an operator set stays.
 */
export function engineEnvironment(server: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  return {
    MALLOC_ARENA_MAX: '1',
    MALLOC_MMAP_THRESHOLD_: String(MMAP_THRESHOLD_BYTES),
    MALLOC_TRIM_THRESHOLD_: String(KEPT_FREE_BYTES),
    ...server,
    // ONNX Runtime's Linux build would otherwise open its telemetry channel and leave files in the temporary folder.
    ORT_DISABLE_TELEMETRY: '1',
  };
}
