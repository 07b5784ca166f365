# Completion of mreg for bash. Made by `mreg completion bash`.
_mreg() {
    local rest
    COMPREPLY=()
    # mreg prints the rest of each word, quoted. Readline replaces $2: the typed word, from its last break or quote on.
    while IFS= read -r rest; do
        COMPREPLY+=("$2$rest")
    done < <(_MREG_COMPLETE=bash "$1" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    # Without an offer the shell's own completion of files comes in.
}
complete -o default -F _mreg mreg
