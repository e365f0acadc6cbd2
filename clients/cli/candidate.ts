import type { Publishable } from './publishable.ts';
import type { UploadProgress } from './upload-progress.ts';

/** Something that may be published; what it is worth shows when it is opened. */
export interface Candidate {
  /** For people: a path, or a place in a bucket. */
  readonly path: string;
  /** The model's name where the content suggests none. */
  readonly fallbackName: string;
  /** @throws ServiceError when it holds no bundle that can be imported. */
  open(progress: UploadProgress, signal: AbortSignal): Promise<Publishable>;
  /** Called once its version is in the registry and what it was opened from is closed. */
  readonly published?: () => Promise<void>;
}
