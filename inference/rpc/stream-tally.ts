import type { PredictResponse } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { CallContext } from '../../proto/wire/handlers.ts';
import { toServiceError } from '../../proto/wire/status.ts';

/** Beyond it a log line would be a list. */
const MAX_MODELS = 20;

/** What the log line of one PredictStream says of its images, kept up to date while the call goes on. */
export class StreamTally {
  readonly #context: Pick<CallContext, 'annotate' | 'noteDefect'>;
  readonly #models = new Set<string>();
  readonly #failures: Record<string, number> = {};
  #images = 0;
  #failedImages = 0;
  #imageBytes = 0;
  #flakes = 0;

  constructor(context: Pick<CallContext, 'annotate' | 'noteDefect'>) {
    this.#context = context;
    this.#annotate();
  }

  received(imageBytes: number): void {
    this.#imageBytes += imageBytes;
    this.#annotate();
  }

  told({ event }: PredictResponse): void {
    if (event?.$case === 'summary') {
      this.#images += 1;
      this.#flakes += event.value.flakeCount;
      for (const { model, version } of event.value.models) {
        if (this.#models.size < MAX_MODELS) {
          this.#models.add(`${model}:${version}`);
        }
      }
      this.#annotate();
    }
  }

  failed(error: unknown): void {
    const { kind, reason } = toServiceError(error);
    this.#images += 1;
    this.#failedImages += 1;
    this.#failures[reason] = (this.#failures[reason] ?? 0) + 1;
    if (kind === 'internal') {
      // The caller is told INTERNAL and nothing else, so the log has to say what it was.
      this.#context.noteDefect(error);
    }
    this.#annotate();
  }

  #annotate(): void {
    const failures = this.#failedImages === 0 ? {} : { failures: { ...this.#failures } };
    this.#context.annotate({
      models: [...this.#models],
      images: this.#images,
      failedImages: this.#failedImages,
      imageBytes: this.#imageBytes,
      flakes: this.#flakes,
      ...failures,
    });
  }
}
