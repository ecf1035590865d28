import { main } from '../lib/rehearsal/boot/main';

void main(process.argv.slice(2), process.stdout, process.stderr).then((status) => process.exit(status));
