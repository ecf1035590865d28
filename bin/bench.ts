import { main } from '../lib/bench/main';

void main(process.argv.slice(2), { out: process.stdout, err: process.stderr }).then((status) => process.exit(status));
