// Tells when it was entered: milliseconds on the machine's steady clock.
export default () => Number(process.hrtime.bigint()) / 1e6;
