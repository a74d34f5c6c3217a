# What Perl's Net::FTP does, by the names of the actions. The rest is as for shell lines: see src/compat.rs.
use strict;
use warnings;
use Net::FTP;

my ($passive, $action) = @ARGV;
my $room = $ENV{IN};

sub session {
    my $ftp = Net::FTP->new($ENV{SERVER}, Passive => $passive, Timeout => 10) or die "connect: $@\n";
    $ftp->login($ENV{USER}, $ENV{PASSWORD}) or die "login: " . $ftp->message;
    $ftp->binary;
    return $ftp;
}

my $ftp = session();

sub must { die $ftp->message unless $_[0] }

# Reads `length` bytes of a data connection.
sub some {
    my ($data, $length) = @_;
    my $read = $data->read(my $piece, $length);
    die "the data connection ended: " . $ftp->message unless $read;
    return $piece;
}

# Copies the rest of a data connection.
sub rest {
    my ($data, $into) = @_;
    while ($data->read(my $piece, 1 << 20)) { print $into $piece }
    must($data->close);
    close $into;
}

my %actions = (
    list => sub {
        open my $listing, '>', 'listing' or die;
        print $listing "$_\n" for $ftp->dir('many');
    },
    download => sub { must($ftp->get('file', 'got')) },
    upload   => sub { must($ftp->put('up', "$room/up")) },
    resume   => sub {
        rename 'part', 'got';
        must($ftp->get('file', 'got', -s 'got'));
    },
    append => sub { must($ftp->append('up', "$room/base")) },
    rename => sub {
        my $data = $ftp->retr("$room/big") or die $ftp->message;
        open my $got, '>', 'got' or die;
        print $got some($data, 100000);
        session()->rename("$room/big", "$room/moved") or die "rename";
        rest($data, $got);
    },
    abort => sub {
        my $data = $ftp->retr('big') or die $ftp->message;
        open my $head, '>', 'head' or die;
        print $head some($data, 100000);
        close $head;
        $data->abort;
        must($ftp->get('file', 'got'));
    },
    fifty => sub {
        mkdir 'fetched';
        for my $path ($ftp->ls('many')) {
            my ($name) = $path =~ m{([^/]+)$};
            # pure-ftpd lists the directory itself, too.
            next if $name =~ /^\./;
            must($ftp->get("many/$name", "fetched/$name"));
        }
    },
    together => sub { must($ftp->get('file', "got$_")) for 1 .. 10 },
    slow     => sub {
        my $data = $ftp->retr('big') or die $ftp->message;
        open my $got, '>', 'got' or die;
        for (1 .. $ENV{DURATION}) {
            print $got some($data, 40000);
            sleep 1;
        }
        rest($data, $got);
        must($ftp->get('file', 'second'));
    },
);
$actions{$action}->();
$ftp->quit;
