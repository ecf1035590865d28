const { createHash } = require('node:crypto');
const { transformSync, version } = require('esbuild');

module.exports = {
  process: (source, file) =>
    transformSync(source, { loader: 'ts', format: 'cjs', target: 'node20', sourcemap: 'inline', sourcefile: file }),
  getCacheKey: (source, file) => createHash('sha256').update(version).update(file).update(source).digest('hex'),
};
