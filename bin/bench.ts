import { main } from '../lib/bench/main';

void main(process.argv.slice(2)).then((status) => process.exit(status));
