import type { TextOutput } from './text-output.ts';

const CLEAR_LINE = '\r\u001b[K';

/** Lines of progress, the last of them drawn anew on a terminal. Nobody waits for it: a lost line of it harms nobody. */
export class LiveLine {
  readonly #output: TextOutput;
  #isDrawn = false;

  constructor(output: TextOutput) {
    this.#output = output;
  }

  get isTerminal(): boolean {
    return this.#output.isTerminal;
  }

  /** A line that stays. */
  print(text: string): void {
    this.#write(`${this.#isDrawn ? CLEAR_LINE : ''}${text}\n`);
    this.#isDrawn = false;
  }

  /** A line that the next one replaces; nothing in a pipe. */
  draw(text: string): void {
    if (this.isTerminal) {
      this.#write(`${CLEAR_LINE}${text.slice(0, this.#output.columns - 1)}`);
      this.#isDrawn = true;
    }
  }

  /** Takes what is drawn off the terminal. */
  async finish(): Promise<void> {
    if (this.#isDrawn) {
      this.#isDrawn = false;
      await this.#output.write(CLEAR_LINE);
    }
  }

  #write(text: string): void {
    this.#output.write(text).catch(() => undefined);
  }
}
