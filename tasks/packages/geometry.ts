/** Length of the side opposite the right angle (Pythagoras), in the unit of `a` and `b`. */
export function hypotenuse(a: number, b: number): number {
  return Math.hypot(a, b);
}
