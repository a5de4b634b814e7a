# Completion of kith for bash.

# Options of a command, as its --help tells them.
_kith_options() {
    "${COMP_WORDS[0]}" help "$1" 2>/dev/null | grep -oE '(^ +|, )-[-a-zA-Z]+' | tr -d ' ,'
}

_kith() {
    local word=${COMP_WORDS[COMP_CWORD]}
    local before=${COMP_WORDS[COMP_CWORD - 1]}
    local commands='build search add remove exact eval bench tune info calibrate check repair convert gen db import query delete export help'
    local formats='fvecs ivecs bvecs npy fbin ibin u8bin i8bin hdf5 words csv tsv jsonl'
    local words=

    [[ $before == '=' ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
    [[ $word == '=' ]] && word=
    if ((COMP_CWORD == 1)); then
        words="$commands --help --version"
    elif [[ ${COMP_WORDS[1]} == help ]]; then
        words=$commands
    else
        case $before in
            -m | --metric) words='l2 euclid ip cosine l1' ;;
            -i | --index) words='Auto Flat Flat,SQ8 HNSW16 HNSW32 HNSW16,SQ8 HNSW16,SQ8,Refine HNSW16,SQfp16 IVF1024,Flat IVF1024,SQ8,Refine PCA64,HNSW16,SQ8,Refine OPQ16,IVF1024,PQ16x4fs,Refine' ;;
            --from) words=$formats ;;
            --to) words="$formats kith faiss" ;;
            --open) words='read map codes' ;;
            --type) words='f32 f16 f64 u8 i8 u16 i16 u32 i32 u64 i64' ;;
            --kind) words='gaussian clusters sphere uniform integral' ;;
            --sweep) words='ef=16:512 nprobe=1:256' ;;
            -k | -n | -d | --ef | --nprobe | --threads | --seed | --memory-limit | --rows | --dim | --repeat | --radius | --recall) return ;;
            *) [[ $word == -* ]] && words=$(_kith_options "${COMP_WORDS[1]}") ;;
        esac
    fi
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}

complete -F _kith kith
