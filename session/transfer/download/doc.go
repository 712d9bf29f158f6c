// Package download is the disk of a receiver: what a transfer writes below the download
// directory, and how its files get their names there.
//
// Each transfer has a hidden directory of its own in the download directory, in which
// everything is until it is complete:
//
//	Downloads/
//	    .natter-0123…ef/    mode 0700
//	        offer           who offers what; locked while a program works on the transfer
//	        pages           the list of files, as it came
//	        journal         the hashes of what is durable (package journal); it is there once the user has accepted
//	        files/          the files, under safe names (package manifest), mode 0600
//	        names           which name of the download directory each of them gets
//
// # Safe
//
// Everything is opened below the download directory through os.Root, so that no link and no
// name leads out of it. What is opened in the hidden directory must be a regular file, and the
// directory one that this user has made; a link in their place is an error and stays
// untouched. Final names are one safe name each. A name that is taken stays what it is: the
// file gets the next one, "report (1).pdf".
//
// # Crashes
//
// A piece counts as written, as synced and as recorded in this order; what the journal says is
// on the disk. Before a file gets its name, that name is written to names and synced; then the
// file gets a second name, the directory is synced, and only then the first name is removed. A
// directory is renamed. So a Place that was cut short goes on where it was, and knows the
// names that it has given. The hidden directory is removed last.
package download
