import { isDeepStrictEqual } from 'node:util';
import type { UsedModel } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { BlobRef } from '../../proto/wire/digest.ts';
import type { Answer } from '../prediction.ts';
import type { ResultFolder } from './result-folder.ts';

export interface EarlierResultsDeps {
  readonly folder: ResultFolder;
  /** The versions that answer the run's requests now; called once a run, and only where there is an earlier result. */
  readonly serving: (image: Uint8Array) => Promise<readonly UsedModel[]>;
  /** Results of any version count as done. */
  readonly isKeepingOld: boolean;
}

/** What a folder of results has of this run's images, and what it gets of them. */
export class EarlierResults {
  readonly #deps: EarlierResultsDeps;
  #serving: Promise<readonly UsedModel[]> | undefined;
  #outdatedCount = 0;

  constructor(deps: EarlierResultsDeps) {
    this.#deps = deps;
  }

  /** Images that were done by other versions than those that now answer, and so are done again. */
  get outdatedCount(): number {
    return this.#outdatedCount;
  }

  /** The answer to this image that makes a new one needless. */
  async find(path: string, image: BlobRef, bytes: Uint8Array): Promise<Answer | undefined> {
    const { folder, isKeepingOld } = this.#deps;
    const answer = await folder.find(path, image);
    if (answer === undefined || isKeepingOld || isSameVersions(answer.summary.models, await this.#servingFor(bytes))) {
      return answer;
    }
    this.#outdatedCount += 1;
    return undefined;
  }

  save(path: string, image: BlobRef, answer: Answer): Promise<void> {
    return this.#deps.folder.save(path, image, answer);
  }

  #servingFor(image: Uint8Array): Promise<readonly UsedModel[]> {
    this.#serving ??= this.#deps.serving(image);
    return this.#serving;
  }
}

/** By name, number and bytes, whatever alias led there. */
function isSameVersions(a: readonly UsedModel[], b: readonly UsedModel[]): boolean {
  const identities = (models: readonly UsedModel[]): unknown =>
    models.map(({ role, model, version, manifestDigest }) => ({ role, model, version, manifestDigest }));
  return isDeepStrictEqual(identities(a), identities(b));
}
