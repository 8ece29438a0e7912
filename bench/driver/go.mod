module ec2sweep/bench

go 1.19
