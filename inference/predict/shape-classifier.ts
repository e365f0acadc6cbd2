/** PORT: how likely a flake's shape is that of a real one (`shape-classifier.v1` of the manifest). */
export interface ShapeClassifier {
  /**
   * `features` is [count, 2], as `ShapeFeatures` has them. Gives `count` probabilities that the flake is real. A pure function of each
   * row. Does not keep or change `features`.
   */
  judge(features: Float64Array, count: number): Promise<Float64Array>;
}
