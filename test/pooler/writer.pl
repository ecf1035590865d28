# Writes rows with DBD::Pg as it comes: no driver setting, statements prepared on the server. Ends with its input.
use strict;
use warnings;
use DBI;
use IO::Select;
use Time::HiRes qw(time sleep);

$| = 1;
my $database = DBI->connect('dbi:Pg:', undef, undef, { RaiseError => 1, PrintError => 0, AutoCommit => 0 });
my $write = $database->prepare('INSERT INTO written VALUES (?, ?)');
my $read = $database->prepare('SELECT count(*) FROM written WHERE client = ? AND number = ?');
my $input = IO::Select->new(\*STDIN);
for (my $number = 1; !$input->can_read(0); $number++) {
    my $begin = time;
    $write->execute($ENV{CLIENT}, $number);
    $read->execute($ENV{CLIENT}, $number);
    my ($found) = $read->fetchrow_array;
    $read->finish;
    die "row $number is not there\n" if $found != 1;
    $database->commit;
    printf "%d %.1f\n", $number, 1000 * (time - $begin);
    sleep($ENV{PACE_MS} / 1000);
}
$database->disconnect;
