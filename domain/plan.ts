/** What a strategy expands to. The JSON of `pipeline plan`. */
export interface Plan {
  /** The strategy as SAM spells it (`Canary10Percent5Minutes`), or a rendering of a custom one. */
  strategy: string;
  /** Rising weights, the last one 100. */
  steps: PlanStep[];
  /** When the last bake is over, in seconds from the first step. */
  totalSeconds: number;
}

export interface PlanStep {
  /** The candidate's share of the traffic, 0.1 to 100. */
  weightPercent: number;
  /** When this weight is reached, in seconds from the first step. */
  atSeconds: number;
}
