# Executes one statement again and again with DBD::Pg as it comes, prepared on the server, and tells how long each took
# from the first try on. The first line of its input is the password; it ends with its input.
use strict;
use warnings;
use DBI;
use IO::Select;
use Time::HiRes qw(time sleep);

$| = 1;
chomp(my $password = <STDIN>);
my $input = IO::Select->new(\*STDIN);
my ($database, $statement);
until ($input->can_read(0)) {
    my $wanted = time;
    my $done = 0;
    until ($done || $input->can_read(0)) {
        $done = eval {
            if (!$database) {
                $database = DBI->connect('dbi:Pg:', $ENV{PGUSER}, $password, { RaiseError => 1, PrintError => 0 });
                $statement = $database->prepare($ENV{STATEMENT});
            }
            $statement->execute;
            1;
        };
        next if $done;
        print 'error ', ($DBI::state || 'unknown'), "\n";
        undef $statement;
        eval { $database->disconnect } if $database;
        undef $database;
        sleep 0.05;
    }
    printf "done %.1f\n", 1000 * (time - $wanted) if $done;
    sleep $ENV{EVERY_MS} / 1000;
}
