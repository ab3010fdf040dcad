// The floor's no-op task, in a Piscina thread.
export default () => null;
