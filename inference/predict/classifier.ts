/** PORT: the class of a colour from its optical contrast (`pixel-classifier.v1` of the manifest). */
export interface PixelClassifier {
  /**
   * `contrast` is [count, 3], B G R, on the half-precision grid of the contrast table. Gives `count` classes, 0 = background.
   * A pure function of each row: rows may be asked in any order and number. Does not keep or change `contrast`.
   */
  classify(contrast: Float32Array, count: number): Promise<Uint8Array> | Uint8Array;
}
