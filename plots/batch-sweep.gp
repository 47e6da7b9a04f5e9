# Throughput against what each user sees, a point a batch, from reports/batch-sweep:
#     reports/batch-sweep -m llama-3.1-8b -d h100-sxm --prompt 1024 --output 256 >sweep.csv
#     gnuplot -e "data='sweep.csv'; picture='sweep.png'" plots/batch-sweep.gp
if (!exists("data")) data = "sweep.csv"
if (!exists("picture")) picture = "sweep.png"
set terminal pngcairo size 1280,800 font "DejaVu Sans,14"
set output picture
set datafile separator ","
set grid lc rgb "#dddddd"
set title "Throughput against speed per user, a point a batch" font ",18"
set xlabel "Tokens per second and user (1 / TPOT), 90% interval"
set ylabel "Output tokens per second and device"
set xrange [0:*]
set yrange [0:*]
set offsets graph 0.02, graph 0.12, graph 0.05, 0
speed(t) = 1.0 / t
plot data using (speed(column("tpot_s"))):(column("throughput_tokens_per_s_per_device")):(speed(column("tpot_high_s"))):(speed(column("tpot_low_s"))) \
         with xerrorbars lw 1.5 pt 0 lc rgb "#88bbdd" notitle, \
     data using (speed(column("tpot_s"))):(column("throughput_tokens_per_s_per_device")) \
         with linespoints lw 2 pt 7 ps 1.2 lc rgb "#0072b2" notitle, \
     data using (speed(column("tpot_s"))):(column("throughput_tokens_per_s_per_device")):(sprintf(" batch %d", column("batch"))) \
         with labels left offset 0.6,0.6 font ",12" notitle
