# SPDX-License-Identifier: MIT
# Text for the printed page.

# text_trim TEXT: without the spaces around it.
text_trim() {
    set -- $1 && answer=$*
}

# text_fit TEXT WIDTH: TEXT, or as much of it as fits with a "~" at the end.
text_fit() {
    answer=$1
    [ "${#answer}" -gt "$2" ] || return 0
    while [ "${#answer}" -ge "$2" ]; do
        answer=${answer%?}
    done
    answer=$answer~
}
