import type { Manifest } from '../../proto/wire/manifest.ts';
import type { PublishFile } from '../publish.ts';

/** A version that is ready to be published. */
export interface Publishable {
  readonly manifest: Manifest;
  /** The exact bytes to publish. */
  readonly manifestBytes: Uint8Array;
  readonly files: readonly PublishFile[];
  /** A model name that the bundle itself suggests. */
  readonly suggestedName: string | undefined;
  /** The same, where the bundle lies in a folder of MaskTerial's own server. */
  readonly serverName?: string | undefined;
  close(): Promise<void>;
}
