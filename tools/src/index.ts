/** Placeholder until the commands of this repository arrive. */
export {};
