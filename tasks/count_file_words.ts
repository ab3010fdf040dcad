// A task with files: it reads what a client has uploaded, and makes a file for download.
import { readFile, writeFile } from 'node:fs/promises';
import { defineTask, z } from 'fasttask';

export default defineTask({
  description: 'Counts each word of an uploaded text file, and makes a CSV file of the counts.',
  params: z.object({ file_name: z.string().describe('As /upload gave it.') }),
  result: z.object({ words: z.int(), file_name: z.string().describe('For /download.') }),
  async run({ file_name }, ctx) {
    const words = (await readFile(await ctx.files.path(file_name), 'utf8')).toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
    const counts = new Map<string, number>();
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
    const output = await ctx.files.create('csv');
    await writeFile(output.path, [...counts].map(([word, count]) => `${word},${count}\n`).join(''));
    return { words: words.length, file_name: output.name };
  },
});
