/** Settings in which every field has its value, but for those that mean something by being absent. */
export type Complete<T, Absent extends keyof T> = Required<Omit<T, Absent>> & Pick<T, Absent>;
